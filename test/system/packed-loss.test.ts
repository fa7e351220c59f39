import {
  additiveMask,
  imageTokens,
  layoutOf,
  mmuLoss,
  packedAnswers,
  packedVisibility,
  type Turn,
} from '@unif2ace/core';
import { buildModel, float32, int32, ParamScope, Philox } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { expect, test } from 'vitest';
import { tinyModel } from './tiny-model.ts';

const { config, weights } = tinyModel();
const layout = layoutOf(config);
const prefix = imageTokens(config) + 3;
const { face, clip } = config.backbone.features;
const random = new Philox(5);
const noise = (length: number) => Float32Array.from({ length }, () => random.normal());
const image = Array.from({ length: imageTokens(config) }, () => layout.codeOffset + random.int(layout.codes));
const features = {
  'mmu.face': float32(noise(face.tokens * face.width), [1, face.tokens, face.width]),
  'mmu.clip': float32(noise(clip.tokens * clip.width), [1, clip.tokens, clip.width]),
};

/** Cross-entropy of each answer row of one packed sequence. */
async function rowsOf(turns: readonly Turn[], slots: readonly number[]): Promise<Float32Array> {
  const { rows } = mmuLoss(new ParamScope(), config, { batch: 1, slots });
  const session = await directRuntime().createSession(buildModel({ rows }, { parameters: weights }));
  const { ids, labels } = packedAnswers(layout, image, turns, slots);
  const targets = labels.slice(prefix).map((label) => Math.max(0, label));
  const feeds = {
    'mmu.ids': int32(ids, [1, ids.length]),
    'mmu.mask': float32(additiveMask(packedVisibility(prefix, slots)), [1, 1, ids.length, ids.length]),
    'mmu.targets': int32(targets, [targets.length]),
    ...features,
  };
  const used = Object.fromEntries(Object.entries(feeds).filter(([name]) => session.inputNames.includes(name)));
  const result = await session.run(used);
  await session.release();
  return result.rows!.data as Float32Array;
}

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
