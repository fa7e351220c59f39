import type { SpecialTokens } from './special-tokens.ts';

// Visibility is a Uint8Array [rows, keys]: 1 where the query row sees the key column.
// B batch, L length of a sequence.

type Marks = Pick<SpecialTokens, 'pad' | 'soi' | 'eoi'>;

/** Show-o's value of a hidden score: the smallest int64 as float32. */
export const hiddenScore = -(2 ** 63);

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

/** Visibility [B, L, L] of sequences of one length. @throws RangeError when their lengths differ. */
export function batchVisibility(
  ids_BL: readonly (readonly number[])[],
  visibility: (ids: readonly number[], row: number) => Uint8Array,
): Uint8Array {
  const length = ids_BL[0]?.length ?? 0;
  const visible = new Uint8Array(ids_BL.length * length * length);
  ids_BL.forEach((ids, row) => {
    if (ids.length !== length)
      throw new RangeError(
        `batchVisibility: row ${row} has ${ids.length} ids, expected ${length} as row 0; try padding`,
      );
    visible.set(visibility(ids, row), row * length * length);
  });
  return visible;
}

/**
 * Omni masks [B, L, L] of understanding sequences. `eoi` says whose end of image counts: each row's own (default), or
 * the first row's for all, as Show-o has it (quirks: Masks), which is wrong for images of unequal length.
 */
export function mmuBatchVisibility(
  marks: Marks,
  ids_BL: readonly (readonly number[])[],
  eoi: 'ownRow' | 'firstRow' = 'ownRow',
): Uint8Array {
  return batchVisibility(ids_BL, (ids) =>
    mmuVisibility(marks, ids, (eoi === 'firstRow' ? ids_BL[0]! : ids).indexOf(marks.eoi)),
  );
}

/**
 * Visibility [rows, capacity + rows] of `rows` new tokens behind a key-value cache of which the first `filled` of
 * `capacity` columns are used: those are seen by all, the new tokens causally. Right where everything cached is a
 * visible prefix: understanding (its image precedes all text) and plain text.
 * @throws RangeError when more is filled than there is room for.
 */
export function cachedVisibility(filled: number, capacity: number, rows: number): Uint8Array {
  if (!(filled >= 0 && filled <= capacity))
    throw new RangeError(`cachedVisibility: ${filled} columns filled; expected 0 to ${capacity}; try a larger cache`);
  const width = capacity + rows;
  const visible = new Uint8Array(rows * width);
  for (let row = 0; row < rows; row++) {
    visible.fill(1, row * width, row * width + filled);
    visible.fill(1, row * width + capacity, row * width + capacity + row + 1);
  }
  return visible;
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
