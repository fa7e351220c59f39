import {
  additiveMask,
  imageCodes,
  imageIds,
  layoutOf,
  t2iLoss,
  t2iSequence,
  t2iVisibility,
  unknownToken,
} from '@unif2ace/core';
import { buildModel, float32, int32, ParamScope, Philox, type TensorValues } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { expect, test } from 'vitest';
import { tinyModel } from './tiny-model.ts';

test('contrast is the surprise at the true words of a classifier made of the likelihoods; D3Diff is not touched by it', async () => {
  const { config, tokenizer, weights } = tinyModel(3, 2);
  const layout = layoutOf(config);
  const codes = imageCodes(config);
  const random = new Philox(4);
  const images = Array.from({ length: 4 }, () => {
    const truth = Int32Array.from({ length: codes }, () => random.int(layout.codes));
    return { truth, state: truth.map((code) => (random.uniform() < 0.6 ? unknownToken : code)) };
  });
  const feeds = (rows: readonly [text: string, image: number][]): TensorValues => {
    const ids = rows.map(([text, image]) => {
      const { first } = imageIds(layout, images[image]!.state);
      return t2iSequence(layout, tokenizer.encode(text), config.promptTokens, first).ids;
    });
    const length = ids[0]!.length;
    const others = rows.flatMap(([, image]) => imageIds(layout, images[image]!.state).others);
    const masked = (image: number) => Array.from(images[image]!.state, (code) => Number(code === unknownToken));
    return {
      't2i.ids': int32(ids.flat(), [rows.length, length]),
      't2i.others': int32(others, [rows.length, others.length / rows.length]),
      't2i.mask': float32(Float32Array.from(ids.flatMap((row) => [...additiveMask(t2iVisibility(layout, row))])), [
        rows.length,
        1,
        length,
        length,
      ]),
      't2i.ratio': float32(
        Float32Array.from(rows, ([, image]) => masked(image).reduce((a, b) => a + b) / codes),
        [rows.length],
      ),
      't2i.targets': int32(
        rows.flatMap(([, image]) => [...images[image]!.truth]),
        [rows.length * codes],
      ),
      't2i.weights': float32(
        Float32Array.from(rows.flatMap(([, image], i) => masked(image).map((m) => (i < 4 ? m / 100 : 0)))),
        [rows.length * codes],
      ),
    };
  };
  const told: [string, number][] = [0, 1, 2, 3].map((image) => ['a hat', image]);
  const scale = 0.5;
  const contrasted = [0, 2];
  const weightsOfPairs = contrasted.flatMap((image) =>
    Array.from(images[image]!.state, (code) => (code === unknownToken ? scale : 0)),
  );
  const runtime = directRuntime();
  const run = async (rows: [string, number][], contrastEvery?: number) => {
    const graph = t2iLoss(new ParamScope(), config, { batch: 4, contrastEvery });
    const { loss, rows: ce, contrast } = graph;
    const session = await runtime.createSession(
      buildModel({ loss, rows: ce, ...(contrast && { contrast }) }, { parameters: weights }),
    );
    const result = await session.run({
      ...feeds(rows),
      ...(contrastEvery && {
        't2i.contrastWeights': float32(Float32Array.from(weightsOfPairs), [weightsOfPairs.length]),
      }),
    });
    await session.release();
    return result;
  };
  const plain = await run(told);
  const denied = await run([0, 1, 2, 3].map((image) => ['no beard', image]));
  const both = await run([...told, ...contrasted.map((image): [string, number] => ['no beard', image])], 2);
  expect(both.loss!.data[0]).toBeCloseTo(Number(plain.loss!.data[0]), 5);
  const logLikelihood = (result: typeof plain, image: number) =>
    images[image]!.state.reduce(
      (sum, code, i) => sum - (code === unknownToken ? Number(result.rows!.data[image * codes + i]) : 0),
      0,
    );
  const surprises = contrasted.map((image) => {
    const difference = scale * (logLikelihood(plain, image) - logLikelihood(denied, image));
    expect(Math.abs(difference)).toBeGreaterThan(1e-3);
    return Math.log(1 + Math.exp(-difference));
  });
  expect(both.contrast!.data[0]).toBeCloseTo((surprises[0]! + surprises[1]!) / 2, 4);
});
