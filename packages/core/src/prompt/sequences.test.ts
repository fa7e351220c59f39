import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  answerSequence,
  dropsCondition,
  ignoreLabel,
  lmSequence,
  mmuSequence,
  t2iPrefix,
  t2iSequence,
} from './sequences.ts';
import { imageIds, ownLayout, showoLayout } from './special-tokens.ts';

const layout = ownLayout(20, 8);
const image = [0, 1, 2].map((c) => layout.codeOffset + c);
const words = fc.array(fc.nat({ max: 19 }), { maxLength: 12 });

describe('layouts', () => {
  test('Show-o on Phi-1.5 (paper §3.2)', () => {
    expect(showoLayout(50295, 8192, 50256, 50256)).toEqual({
      sot: 50256,
      eot: 50256,
      pad: 50295,
      soi: 50296,
      eoi: 50297,
      t2i: 50300,
      mmu: 50301,
      codeOffset: 50305,
      codes: 8192,
      codeGroups: 1,
      mask: 58497,
      vocabSize: 58498,
    });
  });

  test('several codes a position: each group has ids and a mask of its own, the last mask ends the vocabulary', () => {
    const grouped = ownLayout(20, 4, 2);
    const { first, others } = imageIds(grouped, [0, 0, 3, 3, -1, -1]);
    const code = grouped.codeOffset;
    expect([first, others]).toEqual([
      [code, code + 3, code + 8],
      [code + 4, code + 7, code + 9],
    ]);
    expect(grouped.vocabSize).toBe(code + 10);
  });

  test('our own has no id twice', () => {
    const { codes, codeGroups: _, vocabSize, ...ids } = layout;
    expect(new Set(Object.values(ids)).size).toBe(Object.values(ids).length);
    expect([ids.sot, ids.mask]).toEqual([20, vocabSize - 1]);
    expect(ids.mask - ids.codeOffset).toBe(codes);
  });
});

describe('length and marks, for any text', () => {
  test('text to image', () => {
    fc.assert(
      fc.property(words, fc.integer({ min: 2, max: 9 }), fc.boolean(), (text, room, dropped) => {
        const { ids, labels } = t2iSequence(layout, text, room, image, image, dropped);
        expect(ids).toHaveLength(room + 1 + image.length + 2);
        expect(labels).toHaveLength(ids.length);
        const content = ids.slice(0, room + 1).filter((id) => id !== layout.pad);
        const kept = dropped ? [] : text.slice(0, room - 2);
        expect(content).toEqual([layout.t2i, layout.sot, ...kept, layout.eot]);
        // padding is on the left alone, and is all that does not count
        expect(labels.map((label) => label === ignoreLabel)).toEqual(ids.map((_, i) => i < room + 1 - content.length));
      }),
    );
  });

  test('understanding', () => {
    fc.assert(
      fc.property(words, fc.integer({ min: 2, max: 9 }), (text, room) => {
        const { ids, labels } = mmuSequence(layout, image, text, room);
        const kept = [layout.sot, ...text.slice(0, room - 2), layout.eot];
        const pads = new Array<number>(room - kept.length).fill(layout.pad);
        expect(ids).toEqual([layout.mmu, layout.soi, ...image, layout.eoi, ...kept, ...pads]);
        expect(labels).toEqual(ids.map((id, i) => (i < 6 || id === layout.pad ? ignoreLabel : id)));
      }),
    );
  });

  test('question and answer: only the answer counts', () => {
    fc.assert(
      fc.property(words, words, fc.nat({ max: 3 }), (question, answer, spare) => {
        const room = question.length + answer.length + 2 + spare;
        const { ids, labels } = answerSequence(layout, image, question, answer, room);
        expect(ids).toHaveLength(6 + room);
        expect(labels).toHaveLength(ids.length);
        expect(ids.slice(6, 7 + question.length)).toEqual([layout.sot, ...question]);
        const counted = labels.flatMap((label, i) => (label === ignoreLabel ? [] : [[i, label]]));
        expect(counted).toEqual([...answer, layout.eot].map((id, i) => [7 + question.length + i, id]));
        expect(ids.map((id, i) => labels[i] === ignoreLabel || labels[i] === id)).not.toContain(false);
        expect(() => answerSequence(layout, image, question, answer, room - spare - 1)).toThrow(
          /answerSequence: \d+ text tokens do not fit into/,
        );
      }),
    );
  });

  test('text alone: what is cut has no end', () => {
    expect(lmSequence(layout, [1, 2, 3], 4).ids).toEqual([layout.sot, 1, 2, 3]);
    expect(lmSequence(layout, [1], 4)).toEqual({
      ids: [layout.sot, 1, layout.eot, layout.pad],
      labels: [layout.sot, 1, layout.eot, ignoreLabel],
    });
  });
});

test('inputs are left as they were', () => {
  const [text, codes] = [Object.freeze([1, 2, 3]), Object.freeze([...image])];
  t2iSequence(layout, text, 3, codes, codes);
  mmuSequence(layout, codes, text, 3);
  answerSequence(layout, codes, text, text, 9);
  lmSequence(layout, text, 3);
});

test('masked codes become what the labels say', () => {
  const { ids, labels } = t2iSequence(layout, [], 2, [layout.mask, image[1]!], image.slice(0, 2));
  expect(ids.slice(-4)).toEqual([layout.soi, layout.mask, image[1], layout.eoi]);
  expect(labels.slice(-4)).toEqual([layout.soi, image[0], image[1], layout.eoi]);
});

test('no room for the marks', () => {
  for (const room of [1, 0, -1, 2.5]) {
    expect(() => t2iPrefix(layout, [], room)).toThrow(/room for .* text tokens; expected a whole number from 2/);
    expect(() => mmuSequence(layout, image, [], room)).toThrow(RangeError);
  }
});

test('a condition is dropped by comparison in float32', () => {
  // 0.1 as float32 is above 0.1: equal in float32, smaller in float64
  expect([0.1, Math.fround(0.1), 0.0999999, 0].map((u) => dropsCondition(u, 0.1))).toEqual([false, false, true, true]);
  // 0.7 as float32 is below 0.7: no drop by float32, a drop by float64
  expect(dropsCondition(Math.fround(0.7), 0.7)).toBe(false);
  expect(dropsCondition(0, 0)).toBe(false);
  expect(dropsCondition(0.999999, 1)).toBe(true);
});
