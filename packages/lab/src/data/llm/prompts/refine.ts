import type { Prompt } from './prompt.ts';
import { rules } from './rules.ts';

/** Paper §5, second prompt: the captions are corrected by the attributes. */
export const refinePrompt: Prompt = {
  name: 'refine',
  version: 1,
  system: `You edit captions of face photos for a data set that teaches a model fine facial detail. You correct them by known attributes and add what they leave out.

${rules}`,
  user: `Known attributes of the face, where each comes from and how sure it is. A label was set by a person. A classifier's attribute is right with the probability given.
{{facts}}

Captions of the photo, as JSON:
{{captions}}

Correct the captions:
- Where a caption contradicts a label, the label is right. Where it contradicts a classifier's attribute of 90 % or more, the attribute is right unless the photo plainly shows otherwise. Below 90 %, trust the photo.
- Add attributes that are present and not mentioned yet: all of them to the first caption, the clearest to the others.
- You may add what follows from attributes together, such as "seems to be talking" or "looks tired", in such careful words.
- Do not list what is absent, and do not use the attributes' names as they are written: "Bags_Under_Eyes" becomes "bags under the eyes".
- Keep everything else that is correct. The first caption stays a paragraph of about 120 words; the others stay short.

Return as many captions as there are above, in the same order.`,
};
