import type { Philox } from '@unif2ace/graph';
import {
  type AttributeName,
  type Attributes,
  attributeNames,
  resolveAttributes,
  type StatedAttributes,
} from '../data/grammar/attributes.ts';
import { pick } from '../data/grammar/phrases.ts';

/** A caption as the grammar draws it. */
interface Stating {
  text: string;
  stated: StatedAttributes;
}

/** Faces of one gender that have an attribute, and those that lack it. */
interface Contrast {
  weight: number;
  attribute: AttributeName;
  having: readonly number[];
  lacking: readonly number[];
}

/** Fewer are slips of the labels as often as not: men with lipstick. */
const fewestFaces = 16;
const drawingTries = 20;
const contraryTries = 6;

/** What cannot be true together with an attribute, or speaks of the same. */
const kindred: readonly (readonly AttributeName[])[] = [
  ['Black_Hair', 'Blond_Hair', 'Brown_Hair', 'Gray_Hair', 'Bald'],
  ['Bald', 'Bangs', 'Straight_Hair', 'Wavy_Hair', 'Receding_Hairline'],
  ['No_Beard', 'Goatee', 'Mustache', 'Sideburns', '5_o_Clock_Shadow'],
  ['Eyeglasses', 'Sunglasses'],
  ['Wearing_Lipstick', 'Heavy_Makeup'],
];

/** An example drawn for an attribute. */
export interface AttributeExample {
  /** Index into the constructor's list. */
  face: number;
  text: string;
  attribute: AttributeName;
  /** Whether the face has it. */
  has: boolean;
  stated: StatedAttributes;
}

/**
 * Draws faces for an attribute with a prompt that speaks of it: with and without it equally often, and of one gender, so that
 * the word and not its company tells the two apart. Of a random face few prompts say anything of eyeglasses, and hardly one
 * woman wears some: drawn as they come, such words are not learnt.
 */
export class PromptBank {
  readonly #faces: readonly Attributes[];
  readonly #contrasts: readonly Contrast[];

  /**
   * @param emphasis how often each attribute comes, before the square root of its rarer half: a handful of faces is not shown
   * over and over.
   * @throws RangeError for an attribute that too few faces of either gender have or lack.
   */
  constructor(faces: readonly Attributes[], emphasis: Readonly<Partial<Record<AttributeName, number>>>) {
    this.#faces = faces;
    const facts = faces.map(resolveAttributes);
    const contrasts = (Object.keys(emphasis) as AttributeName[]).map((attribute) => {
      const genders = attribute === 'Male' ? [undefined] : [true, false];
      return genders
        .map((male): Contrast => {
          const having: number[] = [];
          const lacking: number[] = [];
          facts.forEach((known, face) => {
            if (male !== undefined && known.Male !== male) return;
            if (known[attribute] === true) having.push(face);
            // a hair colour beside another one is no longer a fact, and lacking it is a label all the same
            else if (!faces[face]![attribute as keyof Attributes]) lacking.push(face);
          });
          const rarer = Math.min(having.length, lacking.length);
          const weight = rarer < fewestFaces ? 0 : emphasis[attribute]! * Math.sqrt(rarer);
          return { weight, attribute, having, lacking };
        })
        .filter(({ weight }) => weight > 0);
    });
    const missing = Object.keys(emphasis).find((_, i) => contrasts[i]!.length === 0);
    if (missing !== undefined)
      throw new RangeError(
        `PromptBank: expected at least ${fewestFaces} faces of one gender with and as many without ${missing}, got fewer among ${faces.length}; try more faces, or leave it out of promptEmphasis`,
      );
    this.#contrasts = contrasts.flat();
  }

  /**
   * A face and words about it.
   * @param caption draws a caption of labels; it is asked until one says of the attribute what is true, or lets it be unsaid where
   * there are no words for its absence.
   */
  example(random: Philox, caption: (labels: StatedAttributes) => Stating): AttributeExample {
    const { attribute, having, lacking } =
      this.#contrasts[random.categorical(this.#contrasts.map(({ weight }) => weight))]!;
    const has = random.uniform() < 0.5;
    const face = pick(random, has ? having : lacking);
    const labels = this.#faces[face]!;
    let drawn = caption(labels);
    for (let tries = 1; tries < drawingTries && drawn.stated[attribute] !== has; tries++) drawn = caption(labels);
    return { face, attribute, has, ...drawn };
  }
}

/**
 * Words that say of the example's face what its own words say, but the opposite of its attribute; where there are no words for an
 * absence, it goes unsaid.
 * @param caption draws a caption of what is to be said; of a few the one that says most is taken.
 */
export function contraryText(
  { attribute, has, stated }: AttributeExample,
  caption: (labels: StatedAttributes) => Stating,
): string {
  const facts: StatedAttributes = { ...stated };
  for (const group of kindred) if (group.includes(attribute)) for (const name of group) delete facts[name];
  facts[attribute] = !has;
  const says = ({ stated }: Stating) =>
    Object.keys(stated).length + (stated[attribute] === !has ? attributeNames.length : 0);
  const drawn = Array.from({ length: contraryTries }, () => caption(facts));
  return drawn.reduce((best, next) => (says(next) > says(best) ? next : best)).text;
}
