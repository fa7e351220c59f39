import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { buildModel } from '../onnx/lower.ts';
import { gemm } from '../ops/linalg.ts';
import { Philox } from '../random.ts';
import { input, parameter } from '../tensor.ts';
import { directRuntime } from './node-direct.ts';
import { MappedWeights } from './node-mapped.ts';
import { workerRuntime } from './node-worker.ts';
import { float32 } from './session.ts';

const size = 256;
const random = new Philox(1);
const weights = new Map(
  ['a', 'b'].map((name) => [name, Float32Array.from({ length: size * size }, () => random.normal())]),
);

/** x·aᵀ·bᵀ for a number of rows. */
function model(rows: number) {
  const weight = (name: string) => parameter(name, [size, size]);
  const inner = gemm(input('x', [rows, size]), weight('a'), null, { transB: true });
  return buildModel({ y: gemm(inner, weight('b'), null, { transB: true }) }, { parameters: weights });
}

const x = (rows: number) => float32(new Float32Array(rows * size).fill(0.5), [rows, size]);

describe('mapped weights', () => {
  const runtime = directRuntime({ mapWeights: true, prepack: false });
  afterAll(() => runtime.close());

  test('graphs of several sizes compute what they compute with weights of their own', async () => {
    const plain = directRuntime();
    for (const rows of [1, 3]) {
      const [mapped, own] = [await runtime.createSession(model(rows)), await plain.createSession(model(rows))];
      const [y, expected] = [(await mapped.run({ x: x(rows) })).y!, (await own.run({ x: x(rows) })).y!];
      expected.data.forEach((value, i) => {
        expect(Math.abs((y.data[i] as number) - Number(value))).toBeLessThan(1e-3);
      });
    }
  });

  test.runIf(process.platform === 'linux')('the file is mapped into the process, not read', async () => {
    const maps = await readFile('/proc/self/maps', 'utf8');
    const [path] = /\/\S*unif2ace-\S*weights\.bin/.exec(maps) ?? [];
    expect(path).toBeDefined();
    expect(existsSync(path!)).toBe(true);
  });

  test('each weight is written once; closing removes the files, of a worker too', async () => {
    const own = new MappedWeights();
    const path = own.write(model(1));
    own.write(model(2));
    expect(own.bytes).toBe(2 * size * size * 4);
    own.close();
    expect(existsSync(dirname(path))).toBe(false);
    const worker = workerRuntime({ mapWeights: true, prepack: false });
    const session = await worker.createSession(model(1));
    expect((await session.run({ x: x(1) })).y!.data).toHaveLength(size);
    await worker.close();
  });
});
