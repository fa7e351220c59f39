import {
  describeQuestion,
  imageIds,
  layoutOf,
  type PixelImage,
  questionPrompt,
  regionTokens,
  tokenGrid,
  UniF2ace,
} from '@unif2ace/core';
import { directRuntime } from '@unif2ace/graph/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answerLosses } from './answer-losses.ts';
import { tinyModel } from './tiny-model.ts';

// Which of several candidates is kept, against the loss of training, which reads codes, features and words at once.

describe.each([1, 2])('candidates, %i codes a position', (codeGroups) => {
  const model = tinyModel(3, codeGroups);
  const { config, tokenizer } = model;
  let built: UniF2ace;
  beforeAll(() => {
    built = new UniF2ace(model, directRuntime());
  });
  afterAll(() => built.close());

  async function made(prompt: string, options: Parameters<UniF2ace['generate']>[1]) {
    const rows: { image: number; codes: Int32Array }[] = [];
    const run = built.generate(prompt, { steps: 3, seed: 4, ...options });
    let next = await run.next();
    for (; !next.done; next = await run.next()) {
      const { step, steps, images, guesses } = next.value;
      if (step === steps) rows.push(...images.map((image, row) => ({ image, codes: guesses[row]! })));
    }
    return { images: next.value, rows };
  }

  /** Log-likelihood of a description that begins with these words. */
  async function fit(codes: Int32Array, face: PixelImage, words: string): Promise<number> {
    const turn = {
      question: tokenizer.encode(questionPrompt(describeQuestion)),
      answer: tokenizer.encode(` ${words}`),
    };
    const image = imageIds(layoutOf(config), codes);
    const { losses, labels } = await answerLosses(
      model,
      image,
      await built.features([face]),
      [turn],
      [config.answerTokens],
    );
    const counted = [...labels.keys()].filter((i) => labels[i]! >= 0);
    return counted.slice(0, turn.answer.length).reduce((sum, i) => sum - losses[i]!, 0);
  }

  test('the one is kept that the words are likeliest of, for every image of its own', async () => {
    const prompt = 'smiling';
    const { images, rows } = await made(prompt, { count: 2, candidates: 3 });
    expect(rows.map(({ image }) => image)).toEqual([0, 0, 0, 1, 1, 1]);
    const faces = await built.decode(rows.map(({ codes }) => codes));
    const fits = await Promise.all(rows.map(({ codes }, row) => fit(codes, faces[row]!, prompt)));
    for (const image of [0, 1]) {
      const own = fits.slice(3 * image, 3 * image + 3);
      const best = own.indexOf(Math.max(...own));
      expect(images[image]).toEqual(faces[3 * image + best]);
    }
  });

  test('the first candidate is what is made without others, and more candidates keep those before', async () => {
    const alone = await made('a hat', { count: 2 });
    const few = await made('a hat', { count: 2, candidates: 2 });
    const many = await made('a hat', { count: 2, candidates: 3 });
    expect(alone.rows.map(({ codes }) => codes)).toEqual([0, 2].map((row) => few.rows[row]!.codes));
    expect(few.rows.map(({ codes }) => codes)).toEqual([0, 1, 3, 4].map((row) => many.rows[row]!.codes));
    expect(new Set(many.rows.map(({ codes }) => codes.join())).size).toBe(6);
  });

  test.each(['', 'hat '.repeat(500)])('a prompt without words or with too many is no obstacle', async (prompt) => {
    const { images, rows } = await made(prompt, { candidates: 2 });
    expect(images).toHaveLength(1);
    const faces = await built.decode(rows.map(({ codes }) => codes));
    expect(faces).toContainEqual(images[0]);
    // nothing said, nothing to choose by
    if (prompt === '') expect(images[0]).toEqual(faces[0]);
  });

  test('an edit has candidates as well, and each of them keeps what was not chosen', async () => {
    const [face] = (await made('a hat', {})).images;
    const run = built.edit(face!, 'smiling', { region: 'mouth', steps: 2, candidates: 3 });
    let next = await run.next();
    const [before] = await built.encode([face!]);
    const chosen = regionTokens(face!, 'mouth', tokenGrid(config));
    const kept = (codes: Int32Array) => codes.filter((_, i) => !chosen[Math.floor(i / codeGroups)]);
    const seen = new Set<string>();
    for (; !next.done; next = await run.next())
      if (next.value.step === 2)
        for (const codes of next.value.guesses) {
          seen.add(codes.join());
          expect(kept(codes)).toEqual(kept(before!));
        }
    expect(next.value).toHaveLength(1);
    expect(seen.size).toBe(3);
  });

  test.each([0, 1.5, 17, Number.NaN])('%s candidates are refused', async (candidates) => {
    await expect(made('a', { candidates })).rejects.toThrow(
      /^generate: candidates: expected a whole number from 1 to 16/,
    );
  });
});
