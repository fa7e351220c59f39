import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  additiveMask,
  batchVisibility,
  cachedVisibility,
  causalVisibility,
  hiddenScore,
  mmuBatchVisibility,
  mmuVisibility,
  mmuVitVisibility,
  t2iVisibility,
} from './masks.ts';
import { mmuSequence, t2iSequence } from './sequences.ts';
import { ownLayout } from './special-tokens.ts';

const layout = ownLayout(20, 8);
const code = (c: number) => layout.codeOffset + c;
const rowsOf = (visible: Uint8Array, length: number) =>
  Array.from({ length: visible.length / length }, (_, row) => visible.slice(row * length, (row + 1) * length).join(''));

test('text to image, written out', () => {
  const { ids } = t2iSequence(layout, [3], 4, [code(0), code(1)]);
  expect(ids).toEqual([layout.pad, layout.t2i, layout.sot, 3, layout.eot, layout.soi, code(0), code(1), layout.eoi]);
  expect(rowsOf(t2iVisibility(layout, ids), ids.length)).toEqual([
    '100000000',
    '010000000',
    '011000000',
    '011100000',
    '011110000',
    '011111111',
    '011111111',
    '011111111',
    '011111111',
  ]);
});

test('understanding, written out', () => {
  const { ids } = mmuSequence(layout, [code(0)], [3], 4);
  expect(ids).toEqual([layout.mmu, layout.soi, code(0), layout.eoi, layout.sot, 3, layout.eot, layout.pad]);
  expect(rowsOf(mmuVisibility(layout, ids), ids.length)).toEqual([
    '11110000',
    '11110000',
    '11110000',
    '11110000',
    '11111000',
    '11111100',
    '11111110',
    '11111111',
  ]);
});

test('continuous image features, written out', () => {
  // task, one token of system prompt, soi, two features, eoi, text
  expect(rowsOf(mmuVitVisibility(7, 1, 2), 7)).toEqual([
    '1001100',
    '1101100',
    '1111100',
    '1111100',
    '1111100',
    '1111110',
    '1111111',
  ]);
});

describe('hidden padding', () => {
  const text = fc.array(fc.nat({ max: 19 }), { maxLength: 5 });
  test('does not change what the rest sees', () => {
    fc.assert(
      fc.property(text, fc.nat({ max: 4 }), (words, more) => {
        const room = words.length + 2;
        const image = [code(1), layout.mask, code(3)];
        const tight = t2iSequence(layout, words, room, image).ids;
        const padded = t2iSequence(layout, words, room + more, image).ids;
        const [small, large] = [t2iVisibility(layout, tight), t2iVisibility(layout, padded)];
        const [l, m] = [tight.length, padded.length];
        expect(m - l).toBe(more);
        for (let row = 0; row < l; row++) {
          const seen = large.slice((row + more) * m, (row + more + 1) * m);
          expect([...seen.subarray(0, more)]).toEqual(new Array(more).fill(0));
          expect(seen.subarray(more)).toEqual(small.slice(row * l, (row + 1) * l));
        }
      }),
    );
  });

  test('leaves no row empty, in any batch', () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 4 }), (texts) => {
        const ids = texts.map((words) => t2iSequence(layout, words, 8, [code(1)]).ids);
        const visible = batchVisibility(ids, (row) => t2iVisibility(layout, row));
        const length = ids[0]!.length;
        expect(visible.length).toBe(ids.length * length * length);
        for (let row = 0; row < ids.length * length; row++) expect(visible[row * length + (row % length)]).toBe(1);
      }),
    );
  });
});

describe('batches', () => {
  const short = [layout.mmu, layout.soi, code(0), layout.eoi, layout.sot, 3, layout.eot];
  const long = [layout.mmu, layout.soi, code(0), code(1), layout.eoi, layout.sot, layout.eot];

  test('each row is as it is alone', () => {
    const visible = mmuBatchVisibility(layout, [short, long]);
    expect([...visible]).toEqual([...mmuVisibility(layout, short), ...mmuVisibility(layout, long)]);
  });

  test('by the first row’s image, as Show-o has it', () => {
    const visible = mmuBatchVisibility(layout, [short, long], 'firstRow');
    expect([...visible]).toEqual([...mmuVisibility(layout, short), ...mmuVisibility(layout, short)]);
    // the second image's end is hidden from its beginning
    expect(visible[49 + 2 * 7 + 4]).toBe(0);
    expect(mmuBatchVisibility(layout, [short, long])[49 + 2 * 7 + 4]).toBe(1);
  });

  test('of unequal length are refused', () => {
    expect(() => batchVisibility([[1, 2], [1]], () => new Uint8Array(4))).toThrow(
      /batchVisibility: row 1 has 1 ids, expected 2/,
    );
    expect(batchVisibility([], () => new Uint8Array(0)).length).toBe(0);
  });
});

describe('rows behind a cache', () => {
  test('are the rows of the whole mask, however the text is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 5 }),
        fc.nat({ max: 3 }),
        (chunks, spare) => {
          const prefix = [layout.mmu, layout.soi, code(0), code(1), layout.eoi];
          const words = chunks.reduce((a, b) => a + b, 0);
          const ids = [...prefix, ...new Array<number>(words).fill(3)];
          const whole = mmuVisibility(layout, ids);
          const capacity = ids.length + spare;
          let filled = prefix.length;
          for (const rows of chunks) {
            const visible = cachedVisibility(filled, capacity, rows);
            const width = capacity + rows;
            for (let row = 0; row < rows; row++) {
              const got = visible.subarray(row * width, (row + 1) * width);
              // cached columns, then the unused ones, then the new tokens
              const expected = whole.slice((filled + row) * ids.length, (filled + row + 1) * ids.length);
              expect([...got]).toEqual([
                ...expected.subarray(0, filled),
                ...new Array(capacity - filled).fill(0),
                ...expected.subarray(filled, filled + rows),
              ]);
            }
            filled += rows;
          }
        },
      ),
    );
  });

  test('with an empty cache are a causal mask', () => {
    expect(cachedVisibility(0, 0, 4)).toEqual(causalVisibility(4));
  });

  test('no more than there is room for', () => {
    expect(() => cachedVisibility(5, 4, 1)).toThrow(/cachedVisibility: 5 columns filled; expected 0 to 4/);
  });
});

test('additive form', () => {
  expect([...additiveMask(Uint8Array.of(1, 0))]).toEqual([0, Number(-(2n ** 63n))]);
  expect([...additiveMask(Uint8Array.of(0, 1), -1e9)]).toEqual([-1e9, 0]);
  expect(hiddenScore).toBe(Math.fround(hiddenScore));
});
