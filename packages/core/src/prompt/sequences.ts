import type { SpecialTokens } from './special-tokens.ts';

/** Label of a position that does not count in the loss. */
export const ignoreLabel = -100;

export interface LabelledSequence {
  ids: number[];
  labels: number[];
}

type Marks = Pick<SpecialTokens, 'sot' | 'eot' | 'pad' | 'soi' | 'eoi' | 't2i' | 'mmu'>;

/** [sot] text [eot]; a text that begins with sot gets no second one, and may consist of it alone. */
function framed(marks: Marks, text: readonly number[]): number[] {
  return text[0] === marks.sot ? [...text, marks.eot] : [marks.sot, ...text, marks.eot];
}

/** At most `length` ids; what is cut ends in eot all the same. @throws RangeError when not even sot and eot fit. */
function truncate(marks: Marks, ids: readonly number[], length: number): number[] {
  if (!(Number.isInteger(length) && length >= 2))
    throw new RangeError(`prompt: room for ${length} text tokens; expected a whole number from 2 (sot, eot)`);
  return ids.length <= length ? [...ids] : [...ids.slice(0, length - 1), marks.eot];
}

/** `count` pads, 0 when negative. */
function padding(marks: Marks, count: number): number[] {
  return new Array<number>(Math.max(0, count)).fill(marks.pad);
}

/**
 * Text part of a text-to-image sequence, left-padded to `textLength` + 1: pad… [t2i][sot] text [eot].
 * A dropped condition is [t2i][sot][eot] (paper §3.3).
 */
export function t2iPrefix(marks: Marks, text: readonly number[], textLength: number, dropped = false): number[] {
  const content = dropped ? [marks.sot, marks.eot] : framed(marks, text);
  // the task token comes on top, and is never what is cut
  const kept = [marks.t2i, ...truncate(marks, content, textLength)];
  return [...padding(marks, textLength + 1 - kept.length), ...kept];
}

/** prefix, [soi] image [eoi]. `image` may hold masks; `imageLabels` are what they should become. */
export function t2iSequence(
  marks: Marks,
  text: readonly number[],
  textLength: number,
  image: readonly number[],
  imageLabels: readonly number[] = image,
  dropped = false,
): LabelledSequence {
  const prefix = t2iPrefix(marks, text, textLength, dropped);
  return {
    ids: [...prefix, marks.soi, ...image, marks.eoi],
    labels: [...prefix.map((id) => (id === marks.pad ? ignoreLabel : id)), marks.soi, ...imageLabels, marks.eoi],
  };
}

/** Whether a condition is dropped: a float32 comparison, as the original's. */
export function dropsCondition(uniform: number, probability: number): boolean {
  return Math.fround(uniform) < Math.fround(probability);
}

/** [mmu][soi] image [eoi], the prefix of an understanding sequence. */
export function mmuPrefix(marks: Marks, image: readonly number[]): number[] {
  return [marks.mmu, marks.soi, ...image, marks.eoi];
}

/** prefix, [sot] text [eot], right-padded: text and marks count in the loss, image and padding do not (paper §3.3). */
export function mmuSequence(
  marks: Marks,
  image: readonly number[],
  text: readonly number[],
  textLength: number,
): LabelledSequence {
  const prefix = mmuPrefix(marks, image);
  const kept = truncate(marks, framed(marks, text), textLength);
  const pads = padding(marks, textLength - kept.length);
  return {
    ids: [...prefix, ...kept, ...pads],
    labels: [
      ...prefix.map(() => ignoreLabel),
      ...kept.map((id) => (id === marks.pad ? ignoreLabel : id)),
      ...pads.map(() => ignoreLabel),
    ],
  };
}

/**
 * A question and its answer on an image: prefix, [sot] question, answer [eot], right-padded; only the answer and its
 * eot count in the loss. @throws RangeError when question and answer do not fit into `textLength`.
 */
export function answerSequence(
  marks: Marks,
  image: readonly number[],
  question: readonly number[],
  answer: readonly number[],
  textLength: number,
): LabelledSequence {
  const length = question.length + answer.length + 2;
  if (length > textLength) throw new RangeError(`answerSequence: ${length} text tokens do not fit into ${textLength}`);
  const asked = [...mmuPrefix(marks, image), marks.sot, ...question];
  const answered = [...answer, marks.eot];
  const pads = padding(marks, textLength - length);
  return {
    ids: [...asked, ...answered, ...pads],
    labels: [...asked.map(() => ignoreLabel), ...answered, ...pads.map(() => ignoreLabel)],
  };
}

/** [sot] text [eot] right-padded to `length`; what is cut does not end in eot (quirks: Prompts). */
export function lmSequence(marks: Marks, text: readonly number[], length: number): LabelledSequence {
  const kept = framed(marks, text).slice(0, length);
  const ids = [...kept, ...padding(marks, length - kept.length)];
  return { ids, labels: ids.map((id) => (id === marks.pad ? ignoreLabel : id)) };
}
