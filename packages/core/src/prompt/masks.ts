import type { SpecialTokens } from './special-tokens.ts';

// Visibility is a Uint8Array [rows, keys]: 1 where the query row sees the key column.

type Marks = Pick<SpecialTokens, 'pad' | 'soi' | 'eoi'>;

/** Show-o's value of a hidden score: the smallest int64 as float32. */
export const hiddenScore = -9.223372036854775808e18;

function build(length: number, sees: (row: number, key: number) => boolean): Uint8Array {
  const visible = new Uint8Array(length * length);
  for (let row = 0; row < length; row++)
    for (let key = 0; key < length; key++) visible[row * length + key] = sees(row, key) ? 1 : 0;
  return visible;
}

/**
 * Omni mask of a text-to-image sequence: text rows are causal, image rows (soi to eoi) see everything.
 * With `hidePadding`, padding is seen by padding alone, so that its amount does not matter; Show-o's training and
 * sampling of images do so, its default does not (quirks: Masks).
 */
export function t2iVisibility(marks: Marks, ids: readonly number[], hidePadding = true): Uint8Array {
  let open = false;
  const inImage = ids.map((id) => {
    if (id === marks.soi) open = true;
    const inside = open;
    if (id === marks.eoi) open = false;
    return inside;
  });
  return build(ids.length, (row, key) => {
    if (hidePadding && ids[key] === marks.pad && ids[row] !== marks.pad) return false;
    return inImage[row]! || key <= row;
  });
}

/** Omni mask of an understanding sequence: everything up to eoi is seen by all rows, the text behind it is causal. */
export function mmuVisibility(marks: Marks, ids: readonly number[], eoiIndex = ids.indexOf(marks.eoi)): Uint8Array {
  return build(ids.length, (row, key) => key <= row || key <= eoiIndex);
}

/** Mask of a text sequence. */
export function causalVisibility(length: number): Uint8Array {
  return build(length, (row, key) => key <= row);
}

/** Omni mask with `patches` continuous image features behind the task token, its mark and a system prompt of `prompt` tokens. */
export function mmuVitVisibility(length: number, prompt: number, patches: number): Uint8Array {
  const start = 2 + prompt;
  return build(length, (row, key) => key <= row || (key >= start && key < start + patches));
}

/** 0 where visible, `hidden` elsewhere: what is added to attention scores. */
export function additiveMask(visible: Uint8Array, hidden = hiddenScore): Float32Array {
  return Float32Array.from(visible, (v) => (v ? 0 : hidden));
}
