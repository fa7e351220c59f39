import { describeQuestion, imageIds, layoutOf, pixelImage, questionPrompt, UniF2ace } from '@unif2ace/core';
import { Philox } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answerLosses } from './answer-losses.ts';
import { tinyModel } from './tiny-model.ts';

// Of words for a face, chunk by chunk on kept keys and values, against the loss of training, which reads the whole at once.

describe.each([1, 2])('likelihood of words, %i codes a position', (codeGroups) => {
  const model = tinyModel(3, codeGroups);
  const { config, tokenizer } = model;
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
    const image = imageIds(layoutOf(config), codes!);
    const [question, answer] = [questionPrompt(describeQuestion), ` ${words}`].map((text) => tokenizer.encode(text));
    const turn = { question: question!, answer: answer! };
    const features = await built.features([face]);
    const { losses, labels } = await answerLosses(model, image, features, [turn], [config.answerTokens]);
    return labels.reduce((sum, label, i) => sum - (label >= 0 ? losses[i]! : 0), 0);
  }

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
