import { expect, test } from 'vitest';
import { gradients } from '../autodiff.ts';
import { conv2d } from '../ops/conv.ts';
import { expertLoad, routerEntropy, routeTopK, sparseExperts } from '../ops/experts.ts';
import { gemm, matmul } from '../ops/linalg.ts';
import { reduceSum } from '../ops/reduce.ts';
import { directRuntime } from '../runtime/node-direct.ts';
import { float32 } from '../runtime/session.ts';
import { input } from '../tensor.ts';
import { buildModel } from './lower.ts';

test('products and convolutions by their textbook counts, a common one once', () => {
  const a = input('a', [3, 4, 5]);
  const b = input('b', [5, 7]);
  const product = 2 * 3 * 4 * 5 * 7;
  expect(buildModel({ y: matmul(a, b) }).flops).toBe(product);
  expect(buildModel({ y: matmul(a, b), again: matmul(a, b) }).flops).toBe(product);
  const c = input('c', [5, 4]);
  expect(buildModel({ y: gemm(c, input('d', [5, 6]), null, { transA: true }) }).flops).toBe(2 * 4 * 5 * 6);
  const image = input('image', [2, 3, 8, 8]);
  const kernel = input('kernel', [10, 3, 3, 3]);
  expect(buildModel({ y: conv2d(image, kernel, null, { padding: 1 }) }).flops).toBe(2 * (2 * 10 * 64) * (3 * 9));
});

test('training a linear map costs three times its forward pass', () => {
  const [x, w] = [input('x', [20, 6]), input('w', [6, 9])];
  const y = reduceSum(matmul(x, w));
  const [dx, dw] = gradients(y, [x, w]);
  expect(buildModel({ y, dx: dx!, dw: dw! }).flops).toBe(3 * 2 * 20 * 6 * 9);
});

test('sparse experts count as executed: top-K of the rows, not all experts', () => {
  const [tokens, width, hidden, experts, k] = [16, 6, 10, 8, 4];
  const x = input('x', [tokens, width]);
  const weights = Array.from({ length: experts }, (_, e) => input(`w${e}`, [width, hidden]));
  const routing = routeTopK(input('scores', [tokens, experts]), k);
  const y = sparseExperts(x, routing, experts, (rows, e) => matmul(rows, weights[e]!));
  expect(buildModel({ y }).flops).toBe(2 * tokens * k * width * hidden);
});

test('loads are multiples of the fair share; padding rows do not count; entropy is 1 for equal scores', async () => {
  const scores = input('scores', [4, 4]);
  const weights = input('weights', [4]);
  const model = buildModel({
    load: expertLoad(routeTopK(scores, 1), 4, weights),
    all: expertLoad(routeTopK(scores, 2), 4),
    entropy: routerEntropy(scores, weights),
  });
  const runtime = directRuntime({ intraOpThreads: 1 });
  const session = await runtime.createSession(model);
  const rows = [0.25, 0.25, 0.25, 0.25, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
  const values = await session.run({
    scores: float32(Float32Array.from(rows), [4, 4]),
    weights: float32(Float32Array.of(1, 1, 0, 1), [4]),
  });
  // experts 0, 1 and 3 once each among three counted rows of four experts
  const list = (name: string) => Array.from(values[name]!.data as Float32Array, (value) => Number(value.toFixed(5)));
  expect(list('load')).toEqual([1.33333, 1.33333, 0, 1.33333]);
  expect(list('all').reduce((a, b) => a + b)).toBeCloseTo(4, 5);
  expect(list('entropy')).toEqual([0.33333]);
  await session.release();
});
