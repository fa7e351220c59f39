import { imageTokens, layoutOf, type Turn } from '@unif2ace/core';
import { float32, Philox } from '@unif2ace/graph';
import { expect, test } from 'vitest';
import { answerLosses } from './answer-losses.ts';
import { tinyModel } from './tiny-model.ts';

const model = tinyModel();
const { config } = model;
const layout = layoutOf(config);
const { face, clip } = config.backbone.features;
const random = new Philox(5);
const noise = (length: number) => Float32Array.from({ length }, () => random.normal());
const image = Array.from({ length: imageTokens(config) }, () => layout.codeOffset + random.int(layout.codes));
const features = {
  face: float32(noise(face.tokens * face.width), [1, face.tokens, face.width]),
  clip: float32(noise(clip.tokens * clip.width), [1, clip.tokens, clip.width]),
};

const rowsOf = async (turns: readonly Turn[], slots: readonly number[]) =>
  (await answerLosses(model, { first: image, others: [] }, features, turns, slots)).losses;

test('answers packed behind one image cost what they cost alone', async () => {
  const turns = [
    { question: [5, 6, 7], answer: [9, 11, 12, 13] },
    { question: [8], answer: [2, 4] },
    { question: [1, 2, 3, 4], answer: [40] },
  ];
  const slots = [12, 8, 9];
  const packed = await rowsOf(turns, slots);
  let start = 0;
  for (const [i, turn] of turns.entries()) {
    const alone = await rowsOf([turn], [slots[i]!]);
    // row r predicts token r of the slot; token 0 is sot, never a target
    const counted = Array.from({ length: turn.answer.length + 1 }, (_, t) => 1 + turn.question.length + t);
    for (const row of counted) expect(packed[start + row]).toBeCloseTo(alone[row]!, 4);
    start += slots[i]!;
  }
});
