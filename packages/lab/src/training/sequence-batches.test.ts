import { createTextTokenizer, ignoreLabel, imageCodes } from '@unif2ace/core';
import { expect, test } from 'vitest';
import { type Attributes, attributeNames } from '../data/grammar/attributes.ts';
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

test('emphasised prompts bring the faces that are rare', () => {
  const labels = Array.from(
    { length: 400 },
    (_, i) => Object.fromEntries(attributeNames.map((name) => [name, name === 'Eyeglasses' && i < 20])) as Attributes,
  );
  const recipe = tinyRecipe();
  const config = recipe.model(recipe.textVocabSize);
  // the codes tell whether the face has eyeglasses
  const codes = labels.flatMap(({ Eyeglasses }) =>
    [0, 1].map(() => new Int32Array(imageCodes(config)).fill(Number(Eyeglasses))),
  );
  const none = codes.map(() => new Float32Array(0));
  const shareOf = (promptEmphasis?: { share: number; attributes: { Eyeglasses: number } }) => {
    const stage = {
      ...tinyModelStage,
      name: 'words',
      only: 't2i',
      t2iBatch: 200,
      ...(promptEmphasis && { promptEmphasis }),
    } as const;
    const tokenizer = createTextTokenizer(
      textTokenizer(
        recipe,
        labels.map((attributes, i) => ({ id: `${i}`, path: '', attributes, identity: i, split: 'train' })),
      ),
    );
    const batches = new SequenceBatches(config, tokenizer, { codes, face: none, clip: none }, labels, stage, 1);
    const targets = batches.at({ step: 0, part: 0, parts: 1 })['t2i.targets']!.data as Int32Array;
    return targets.reduce((sum, code) => sum + code, 0) / targets.length;
  };
  expect(shareOf()).toBeCloseTo(0.05, 1);
  expect(shareOf({ share: 0.5, attributes: { Eyeglasses: 1 } })).toBeGreaterThan(0.2);
  const all = shareOf({ share: 1, attributes: { Eyeglasses: 1 } });
  expect(Math.abs(all - 0.5)).toBeLessThan(0.15);
});
