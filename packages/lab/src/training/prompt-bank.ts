import type { Philox } from '@unif2ace/graph';
import {
  type AttributeName,
  type Attributes,
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

/**
 * Draws faces for an attribute with a prompt that speaks of it: with and without it equally often, and of one gender, so that
 * the word and not its company tells the two apart. Of a random face few prompts say anything of eyeglasses, and hardly one
 * woman wears some: drawn as they come, such words are not learnt.
 */
export class PromptBank {
  readonly #contrasts: readonly Contrast[];

  /**
   * @param emphasis how often each attribute comes, before the square root of its rarer half: a handful of faces is not shown
   * over and over.
   * @throws RangeError for an attribute that too few faces of either gender have or lack.
   */
  constructor(faces: readonly Attributes[], emphasis: Readonly<Partial<Record<AttributeName, number>>>) {
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
   * A face (index into the constructor's list) and words about it.
   * @param caption draws a caption of a face; it is asked until one says of the attribute what is true, or lets it be unsaid where
   * there are no words for its absence.
   */
  example(random: Philox, caption: (face: number) => Stating): { face: number; text: string } {
    const { attribute, having, lacking } =
      this.#contrasts[random.categorical(this.#contrasts.map(({ weight }) => weight))]!;
    const has = random.uniform() < 0.5;
    const face = pick(random, has ? having : lacking);
    let drawn = caption(face);
    for (let tries = 1; tries < drawingTries && drawn.stated[attribute] !== has; tries++) drawn = caption(face);
    return { face, text: drawn.text };
  }
}
