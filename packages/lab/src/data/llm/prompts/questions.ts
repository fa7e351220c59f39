import type { Prompt } from './prompt.ts';
import { rules } from './rules.ts';

/** Paper §5, third prompt: question and answer pairs from the refined caption. */
export const questionsPrompt: Prompt = {
  name: 'questions',
  version: 1,
  system: `You write questions and answers about face photos for a data set that teaches a model to see fine facial detail. You never see the photo: the attributes and captions are all you know.

${rules}`,
  user: `Known attributes of the face:
{{facts}}

Captions of the photo, as JSON:
{{captions}}

Write {{count}} questions with answers, each about something different, with as many of these kinds as the attributes allow:
- "yes-no": the answer begins with "Yes," or "No," and repeats the statement in full; label "yes" or "no". Ask as often for what is absent as for what is present.
- "choice": between alternatives named in the question; the label is the word chosen, lower case.
- "color": of the hair, the hat and so on; the label is the color, lower case.
- "count": how many of something, for example of the listed things that are worn; the label is the number in digits.
- "compare": two attributes against each other, such as which of two is present; the label is the word chosen, lower case.
- "reason": why something seems so, answered by the attributes that show it ("Why might the person look tired?"); the label is one word for what is asked about, lower case.
- "unanswerable": cannot be known from the attributes and captions; the answer says so in one sentence; label "unknown".

For each question:
- topic: the attribute asked about, written as above, or a short name such as "hair color".
- evidence: the attributes, written exactly as above, that decide the answer; at least one, except for "unanswerable", where the list is empty. If no attributes are listed above, leave it empty.
- The answer must follow from the attributes and captions alone, and must not contradict any attribute.`,
};
