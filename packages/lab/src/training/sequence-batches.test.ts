import { createTextTokenizer, ignoreLabel, imageCodes } from '@unif2ace/core';
import { expect, test } from 'vitest';
import { type Attributes, attributeNames } from '../data/grammar/attributes.ts';
import { parseCaption } from '../data/grammar/parse.ts';
import type { ModelStage } from './recipe.ts';
import { answerWeights, SequenceBatches } from './sequence-batches.ts';
import { tinyModelStage, tinyRecipe } from './test/tiny-recipe.ts';
import { textTokenizer } from './text-tokenizer.ts';

test('caption and questions share the loss, the deciding token of an answer has half of its share', () => {
  const [_, c, a] = [ignoreLabel, 7, 9];
  const weights = answerWeights([_, c, c, c, c, /**/ _, _, a, a, a, _, /**/ _, a, a, _, _, _], [5, 6, 6]);
  const caption = [0, 1 / 8, 1 / 8, 1 / 8, 1 / 8];
  expect(weights).toEqual([...caption, 0, 0, 1 / 8, 1 / 16, 1 / 16, 0, 0, 1 / 8, 1 / 8, 0, 0, 0]);
});

test('a caption alone has the whole loss', () => {
  expect(answerWeights([ignoreLabel, 3, 4], [3])).toEqual([0, 0.5, 0.5]);
});

const rareLabels = Array.from(
  { length: 400 },
  (_, i) => Object.fromEntries(attributeNames.map((name) => [name, name === 'Eyeglasses' && i < 20])) as Attributes,
);

/** Batches of faces to be drawn, 20 of 400 with eyeglasses; their codes tell which. */
function batchesOf(changes: Partial<ModelStage>) {
  const recipe = tinyRecipe();
  const config = recipe.model(recipe.textVocabSize);
  const codes = rareLabels.flatMap(({ Eyeglasses }) =>
    [0, 1].map(() => new Int32Array(imageCodes(config)).fill(Number(Eyeglasses))),
  );
  const none = codes.map(() => new Float32Array(0));
  const tokenizer = createTextTokenizer(
    textTokenizer(
      recipe,
      rareLabels.map((attributes, i) => ({ id: `${i}`, path: '', attributes, identity: i, split: 'train' })),
    ),
  );
  const stage: ModelStage = { ...tinyModelStage, name: 'words', only: 't2i', ...changes };
  const faces = { codes, face: none, clip: none };
  return { config, tokenizer, batches: new SequenceBatches(config, tokenizer, faces, rareLabels, stage, 1) };
}

test('emphasised prompts bring the faces that are rare', () => {
  const shareOf = (promptEmphasis?: ModelStage['promptEmphasis']) => {
    const { batches } = batchesOf({ t2iBatch: 200, ...(promptEmphasis && { promptEmphasis }) });
    const targets = batches.at({ step: 0, part: 0, parts: 1 })['t2i.targets']!.data as Int32Array;
    return targets.reduce((sum, code) => sum + code, 0) / targets.length;
  };
  expect(shareOf()).toBeCloseTo(0.05, 1);
  expect(shareOf({ share: 0.5, attributes: { Eyeglasses: 1 } })).toBeGreaterThan(0.2);
  const all = shareOf({ share: 1, attributes: { Eyeglasses: 1 } });
  expect(Math.abs(all - 0.5)).toBeLessThan(0.15);
});

test('contrasted images come again, masked alike, under words that deny their attribute; and the same in parts', () => {
  const t2iBatch = 40;
  const { batches, config, tokenizer } = batchesOf({
    t2iBatch,
    promptEmphasis: { share: 0, attributes: { Eyeglasses: 1 } },
    contrast: { every: 4, coefficient: 1, scale: 0.25, fewestMasked: 0.75 },
  });
  const whole = batches.at({ step: 3, part: 0, parts: 1 });
  const rowsOf = (name: string, values = whole) => {
    const { data, shape } = values[name]!;
    const [count, width] = shape.length > 1 ? [shape[0]!, data.length / shape[0]!] : [50, data.length / 50];
    return Array.from({ length: count }, (_, i) => Array.from(data.subarray(i * width, (i + 1) * width) as Int32Array));
  };
  const [ids, weights, targets] = ['t2i.ids', 't2i.weights', 't2i.targets'].map((name) => rowsOf(name));
  const contrastWeights = Array.from(whole['t2i.contrastWeights']!.data as Float32Array);
  const codes = imageCodes(config);
  const words = (row: readonly number[]) =>
    parseCaption(tokenizer.decode(row.filter((id) => id < config.textVocabSize)));
  for (let pair = 0; pair < 10; pair++) {
    const [told, denied] = [4 * pair, t2iBatch + pair];
    expect(ids![denied]!.slice(config.promptTokens)).toEqual(ids![told]!.slice(config.promptTokens));
    expect(targets![denied]).toEqual(targets![told]);
    expect(weights![denied]!.every((weight) => weight === 0)).toBe(true);
    const masked = weights![told]!.map((weight) => (weight > 0 ? 0.25 : 0));
    expect(contrastWeights.slice(pair * codes, (pair + 1) * codes)).toEqual(masked);
    expect(masked.filter((weight) => weight > 0).length).toBeGreaterThanOrEqual(0.75 * codes);
    const has = targets![told]![0] === 1;
    expect(words(ids![told]!).Eyeglasses).not.toBe(!has);
    expect(words(ids![denied]!).Eyeglasses).not.toBe(has);
  }
  const parts = [0, 1].map((part) => batches.at({ step: 3, part, parts: 2 }));
  const halves = parts.map((part) => rowsOf('t2i.ids', part));
  expect([...halves.flatMap((rows) => rows.slice(0, 20)), ...halves.flatMap((rows) => rows.slice(20))]).toEqual(ids);
});
