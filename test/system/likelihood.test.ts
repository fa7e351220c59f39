import {
  additiveMask,
  answerSequence,
  describeQuestion,
  imageIds,
  imageTokens,
  layoutOf,
  mmuLoss,
  packedVisibility,
  pixelImage,
  questionPrompt,
  UniF2ace,
} from '@unif2ace/core';
import { buildModel, int32, ParamScope, Philox } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyModel } from './tiny-model.ts';

// Of words for a face, chunk by chunk on kept keys and values, against the loss of training, which reads the whole at once.

describe.each([1, 2])('likelihood of words, %i codes a position', (codeGroups) => {
  const model = tinyModel(3, codeGroups);
  const { config, tokenizer, weights } = model;
  const layout = layoutOf(config);
  const random = new Philox(9);
  const face = pixelImage(
    8,
    8,
    Uint8Array.from({ length: 3 * 8 * 8 }, () => random.int(256)),
  );
  let built: UniF2ace;
  beforeAll(() => {
    built = new UniF2ace(model, directRuntime());
  });
  afterAll(() => built.close());

  async function byTraining(words: string): Promise<number> {
    const [codes] = await built.encode([face]);
    const { face: faceFeatures, clip } = await built.features([face]);
    const image = imageIds(layout, codes!);
    const [question, answer] = [questionPrompt(describeQuestion), ` ${words}`].map((text) => tokenizer.encode(text));
    const { ids, labels } = answerSequence(layout, image.first, question!, answer!, config.answerTokens);
    const prefix = imageTokens(config) + 3;
    const { rows } = mmuLoss(new ParamScope(), config, { batch: 1 });
    const session = await directRuntime().createSession(buildModel({ rows }, { parameters: weights }));
    const targets = labels.slice(prefix);
    const feeds = {
      'mmu.ids': int32(ids, [1, ids.length]),
      'mmu.mask': float32Mask(ids.length, prefix),
      'mmu.targets': int32(
        targets.map((label) => Math.max(0, label)),
        [targets.length],
      ),
      'mmu.face': faceFeatures!,
      'mmu.clip': clip!,
      ...(codeGroups > 1 && { 'mmu.others': int32(image.others, [1, image.others.length]) }),
    };
    const used = Object.fromEntries(Object.entries(feeds).filter(([name]) => session.inputNames.includes(name)));
    const losses = (await session.run(used)).rows!.data as Float32Array;
    await session.release();
    return targets.reduce((sum, label, i) => sum - (label >= 0 ? losses[i]! : 0), 0);
  }

  const float32Mask = (length: number, prefix: number) => ({
    dtype: 'float32' as const,
    data: additiveMask(packedVisibility(prefix, [config.answerTokens])),
    shape: [1, 1, length, length],
  });

  test.each(['a', 'smiling', 'wearing a hat'])('"%s"', async (words) => {
    expect(await built.logLikelihood(face, words)).toBeCloseTo(await byTraining(words), 3);
  });

  test('a face that was looked at can be asked again', async () => {
    const looked = await built.look(face);
    const [first, again] = [await built.logLikelihood(looked, 'a'), await built.logLikelihood(looked, 'a')];
    expect(again).toBe(first);
    expect(first).toBeCloseTo(await built.logLikelihood(face, 'a'), 5);
    looked.free();
  });

  test('what is too long is refused', async () => {
    await expect(built.logLikelihood(face, 'a hat '.repeat(40))).rejects.toThrow(/words: expected at most \d+ tokens/);
  });
});
