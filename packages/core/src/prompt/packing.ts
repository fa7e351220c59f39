import { answerSequence, type LabelledSequence, mmuPrefix } from './sequences.ts';
import type { SpecialTokens } from './special-tokens.ts';

// Several texts about one image in one sequence: the image is computed once, and each text sees it and itself alone, at
// the positions that it would have behind the image without the others. Slot: the room of one text.

type Marks = Pick<SpecialTokens, 'sot' | 'eot' | 'pad' | 'soi' | 'eoi' | 't2i' | 'mmu'>;

/** Question and answer, as token ids. */
export interface Turn {
  question: readonly number[];
  answer: readonly number[];
}

/**
 * prefix, then each turn in its slot as in `answerSequence`.
 * @throws RangeError when a turn does not fit into its slot, or turns and slots differ in number.
 */
export function packedAnswers(
  marks: Marks,
  image: readonly number[],
  turns: readonly Turn[],
  slots: readonly number[],
): LabelledSequence {
  if (turns.length !== slots.length)
    throw new RangeError(`packedAnswers: ${turns.length} turns; expected one for each of ${slots.length} slots`);
  const prefix = mmuPrefix(marks, image).length;
  const parts = turns.map(({ question, answer }, i) => answerSequence(marks, image, question, answer, slots[i]!));
  const behind = (pick: (part: LabelledSequence) => number[]) => parts.flatMap((part) => pick(part).slice(prefix));
  return {
    ids: [...parts[0]!.ids.slice(0, prefix), ...behind(({ ids }) => ids)],
    labels: [...parts[0]!.labels.slice(0, prefix), ...behind(({ labels }) => labels)],
  };
}

/** Index of the slot of each position; −1 in the prefix. */
function slotOf(prefix: number, slots: readonly number[]): number[] {
  return [...new Array<number>(prefix).fill(-1), ...slots.flatMap((length, i) => new Array<number>(length).fill(i))];
}

/** Omni mask [L, L]: all rows see the prefix, a text row also what stands before it in its own slot. */
export function packedVisibility(prefix: number, slots: readonly number[]): Uint8Array {
  const slot = slotOf(prefix, slots);
  const length = slot.length;
  return Uint8Array.from({ length: length * length }, (_, at) => {
    const [row, key] = [Math.floor(at / length), at % length];
    return Number(key < prefix || (slot[key] === slot[row] && key <= row));
  });
}

/** Position of each token: every slot begins where the prefix ends. */
export function packedPositions(prefix: number, slots: readonly number[]): Int32Array {
  const range = (start: number, length: number) => Array.from({ length }, (_, i) => start + i);
  return Int32Array.from([...range(0, prefix), ...slots.flatMap((length) => range(prefix, length))]);
}
