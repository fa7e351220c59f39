import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mmuVisibility } from './masks.ts';
import { packedAnswers, packedPositions, packedVisibility } from './packing.ts';
import { answerSequence } from './sequences.ts';
import { ownLayout } from './special-tokens.ts';

const layout = ownLayout(20, 8);
const image = [0, 3, 5].map((code) => layout.codeOffset + code);
const prefix = image.length + 3;
const words = fc.array(fc.nat({ max: 19 }), { minLength: 1, maxLength: 4 });
const turns = fc.array(fc.record({ question: words, answer: words, spare: fc.nat({ max: 2 }) }), {
  minLength: 1,
  maxLength: 4,
});

describe('several texts about one image', () => {
  test('each is what it would be alone: tokens, labels, positions, what it sees', () => {
    fc.assert(
      fc.property(turns, (drawn) => {
        const slots = drawn.map(({ question, answer, spare }) => question.length + answer.length + 2 + spare);
        const { ids, labels } = packedAnswers(layout, image, drawn, slots);
        const visible = packedVisibility(prefix, slots);
        const positions = packedPositions(prefix, slots);
        expect(labels).toHaveLength(ids.length);
        expect(positions).toHaveLength(ids.length);
        let start = prefix;
        drawn.forEach(({ question, answer }, slot) => {
          const alone = answerSequence(layout, image, question, answer, slots[slot]!);
          const own = [...Array(prefix).keys(), ...Array.from({ length: slots[slot]! }, (_, i) => start + i)];
          expect(own.map((at) => ids[at])).toEqual(alone.ids);
          expect(own.map((at) => labels[at])).toEqual(alone.labels);
          expect(own.map((at) => positions[at])).toEqual(alone.ids.map((_, i) => i));
          const seen = own.flatMap((row) => own.map((key) => visible[row * ids.length + key]));
          expect(seen).toEqual([...mmuVisibility(layout, alone.ids)]);
          for (const row of own)
            for (let key = prefix; key < ids.length; key++)
              if (!own.includes(key)) expect(visible[row * ids.length + key]).toBe(0);
          start += slots[slot]!;
        });
      }),
    );
  });

  test('a turn too long for its slot, or without one, is refused', () => {
    const turn = { question: [1, 2], answer: [3] };
    expect(() => packedAnswers(layout, image, [turn], [4])).toThrow('5 text tokens do not fit into 4');
    expect(() => packedAnswers(layout, image, [turn], [5, 5])).toThrow('1 turns; expected one for each of 2 slots');
  });
});
