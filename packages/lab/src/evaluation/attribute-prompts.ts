import { Philox, streamFromName } from '@unif2ace/graph';
import {
  type AttributeName,
  type Attributes,
  resolveAttributes,
  type StatedAttributes,
} from '../data/grammar/attributes.ts';
import { promptCaption } from '../data/grammar/caption.ts';
import { pick } from '../data/grammar/phrases.ts';

/** Attributes that a picture shows clearly: what generated faces are judged by. */
export const judgedAttributes = [
  'Male',
  'Eyeglasses',
  'Smiling',
  'Bangs',
  'Black_Hair',
  'Blond_Hair',
  'Gray_Hair',
  'Bald',
  'Wearing_Hat',
  'Wearing_Lipstick',
  'No_Beard',
  'Young',
] as const;
export type JudgedAttribute = (typeof judgedAttributes)[number];

const hairColours = ['Black_Hair', 'Blond_Hair', 'Brown_Hair', 'Gray_Hair'] as const;

const anotherColour = (name: AttributeName) => (stated: StatedAttributes) =>
  hairColours.some((other) => other !== name && stated[other] === true);

/** Whether a prompt states the opposite. Most attributes are denied in words, the others by what excludes them. */
const opposites: Partial<Record<JudgedAttribute, (stated: StatedAttributes) => boolean>> = {
  Black_Hair: anotherColour('Black_Hair'),
  Blond_Hair: anotherColour('Blond_Hair'),
  Gray_Hair: anotherColour('Gray_Hair'),
  Bald: (stated) => hairColours.some((colour) => stated[colour] === true),
  // the grammar's prompts have no words for its absence: the face has none, and the prompt names neither it nor makeup
  Wearing_Lipstick: (stated) => stated.Wearing_Lipstick === undefined && stated.Heavy_Makeup === undefined,
  No_Beard: (stated) => stated.No_Beard === false || stated.Goatee === true,
};

export interface PromptPair {
  /** Says that the face has the attribute. */
  stated: string;
  /** Says the opposite, of a face of the same gender (except of Male itself). */
  opposite: string;
}

const captionTries = 100;
const faceTries = 100;

/**
 * Prompts that state an attribute and its opposite, in the grammar's own words. The company comes from real faces: the one
 * prompt is a caption of a random face that has the attribute, the other of a random face of the same gender that has it not,
 * so that gender gives nothing away; captions are drawn until one states what it should.
 * @param fits whether the model reads the whole prompt.
 * @throws RangeError when the faces allow no such prompt.
 */
export function attributePrompts(
  attribute: JudgedAttribute,
  faces: readonly Attributes[],
  pairs: number,
  options: { seed: number; fits?: (prompt: string) => boolean },
): PromptPair[] {
  const { seed, fits = () => true } = options;
  const states = (stated: StatedAttributes) => stated[attribute] === true;
  const denies = opposites[attribute] ?? ((stated: StatedAttributes) => stated[attribute] === false);
  // a label that contradicts another one is never put into words
  const having = faces.filter((labels) => resolveAttributes(labels)[attribute] === true);
  const lacking = faces.filter((labels) => !labels[attribute]);
  return Array.from({ length: pairs }, (_, i) => {
    const random = new Philox(seed, ...streamFromName(`prompts of ${attribute}`), i);
    const first = captionOf(having, (caption) => states(caption.stated) && fits(caption.text), random);
    const others = lacking.filter(({ Male }) => attribute === 'Male' || !first || Male === first.labels.Male);
    const second = captionOf(others, (caption) => denies(caption.stated) && fits(caption.text), random);
    if (!first || !second)
      throw new RangeError(
        `attributePrompts: expected test faces whose captions ${first ? 'deny' : 'state'} ${attribute}, got none among ${faces.length}; try more faces`,
      );
    return { stated: first.text, opposite: second.text };
  });
}

function captionOf(
  faces: readonly Attributes[],
  accepts: (caption: { text: string; stated: StatedAttributes }) => boolean,
  random: Philox,
): { text: string; labels: Attributes } | undefined {
  for (let face = 0; face < faceTries && faces.length > 0; face++) {
    const labels = pick(random, faces);
    for (let tries = 0; tries < captionTries; tries++) {
      const caption = promptCaption(labels, random);
      if (accepts(caption)) return { text: caption.text, labels };
    }
  }
  return undefined;
}
