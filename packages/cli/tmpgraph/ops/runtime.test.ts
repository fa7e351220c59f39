import { afterAll, describe, expect, test } from 'vitest';
import { gradients } from '../autodiff.ts';
import { evaluate } from '../naive/evaluate.ts';
import { weightedSum } from '../naive/gradient-check.ts';
import { buildModel } from '../onnx/lower.ts';
import { Philox } from '../random.ts';
import { directRuntime } from '../runtime/node-direct.ts';
import { float32 } from '../runtime/session.ts';
import { input } from '../tensor.ts';
import { operatorCases } from './cases.ts';

const runtime = directRuntime({ intraOpThreads: 2 });
afterAll(() => runtime.close());

function draw(shape: readonly number[], seed: number, positive: boolean): Float32Array {
  const random = new Philox(seed);
  return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () =>
    positive ? 0.5 + random.uniform() : 3 * random.uniform() - 1.5,
  );
}

describe('ONNX Runtime agrees with the Float64 oracle, values and gradients, at sizes with several threads', () => {
  test.each(operatorCases)('$name', async ({ large, f, positive }) => {
    const feeds = large.map((shape, i) => draw(shape, 29 + i, positive ?? false));
    const symbols = large.map((shape, i) => input(`x${i}`, shape));
    const y = f(...symbols);
    const outputs = { y, ...Object.fromEntries(gradients(weightedSum(y), symbols).map((d, i) => [`d${i}`, d])) };
    const session = await runtime.createSession(buildModel(outputs));
    const fed = Object.fromEntries(
      session.inputNames.map((name) => [name, float32(feeds[Number(name.slice(1))]!, large[Number(name.slice(1))]!)]),
    );
    const actual = await session.run(fed);
    const again = await session.run(fed);
    const names = Object.keys(outputs);
    const expected = evaluate(Object.values(outputs), Object.fromEntries(feeds.map((data, i) => [`x${i}`, data])));
    names.forEach((name, i) => {
      const want = expected[i]!.data;
      const got = actual[name]!.data as Float32Array;
      expect(again[name]!.data, 'two runs give the same bits').toEqual(got);
      const scale = Math.max(
        1e-2,
        want.reduce((m, x) => Math.max(m, Math.abs(x)), 0),
      );
      let worst = 0;
      want.forEach((x, j) => {
        worst = Math.max(worst, Math.abs(x - got[j]!) / scale);
      });
      expect(worst, `${name} relative to its largest value`).toBeLessThan(5e-5);
    });
    await session.release();
  });
});
