import type { Prompt } from './prompt.ts';
import { rules } from './rules.ts';

/** Paper §5, first prompt: a caption of what is seen. */
export const captionPrompt: Prompt = {
  name: 'caption',
  version: 1,
  system: `You describe photos of single faces for a data set that teaches a model fine facial detail. You write plain, precise English and state only what can be seen.

${rules}`,
  user: `Describe the face in this photo.

Look at each of these and mention what can be seen clearly; leave out what cannot:
- hair: color, length, straight or wavy, hairline, bangs, baldness
- beard: stubble, mustache, goatee, sideburns
- brows, eyes and bags under them, nose, cheeks, lips, chin, face shape
- worn: glasses, hat, mask, earrings, necklace, necktie, lipstick, makeup
- what the person is doing: smiling, talking, looking aside, and so on
- the emotion the face shows
- apparent age as young, middle-aged or older

A description that came with the photo (it may be wrong or empty): {{sourceCaption}}

Write {{count}} captions. The first is the main one: a paragraph of about 100 words that covers everything above. The others say the same in other words, shorter, the last in one sentence.`,
};
