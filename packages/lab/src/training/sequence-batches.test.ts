import { ignoreLabel } from '@unif2ace/core';
import { expect, test } from 'vitest';
import { answerWeights } from './sequence-batches.ts';

test('caption and questions share the loss, the deciding token of an answer has half of its share', () => {
  const [_, c, a] = [ignoreLabel, 7, 9];
  const weights = answerWeights([_, c, c, c, c, /**/ _, _, a, a, a, _, /**/ _, a, a, _, _, _], [5, 6, 6]);
  const caption = [0, 1 / 8, 1 / 8, 1 / 8, 1 / 8];
  expect(weights).toEqual([...caption, 0, 0, 1 / 8, 1 / 16, 1 / 16, 0, 0, 1 / 8, 1 / 8, 0, 0, 0]);
});

test('a caption alone has the whole loss', () => {
  expect(answerWeights([ignoreLabel, 3, 4], [3])).toEqual([0, 0.5, 0.5]);
});
