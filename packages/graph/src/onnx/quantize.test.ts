import { describe, expect, test } from 'vitest';
import { gemm } from '../ops/linalg.ts';
import { Philox } from '../random.ts';
import { directRuntime } from '../runtime/node-direct.ts';
import { float32 } from '../runtime/session.ts';
import { constant, input, parameter } from '../tensor.ts';
import { buildModel } from './lower.ts';
import { quantizeModel, quantizeRows } from './quantize.ts';

const random = new Philox(1);
const draw = (count: number) => Float32Array.from({ length: count }, () => random.normal());

describe.each([4, 8] as const)('%i bits', (bits) => {
  test('each value is within half a step of its block, the largest exact', () => {
    const [outputs, inputs, block] = [3, 40, 16];
    const data = draw(outputs * inputs);
    const { values, scales } = quantizeRows(data, inputs, bits, block);
    const perBlock = (block * bits) / 8;
    data.forEach((value, i) => {
      const [row, column] = [Math.floor(i / inputs), i % inputs];
      const at = row * 3 + Math.floor(column / block);
      const place = column % block;
      const q =
        bits === 8 ? values[at * perBlock + place]! : (values[at * perBlock + (place >> 1)]! >> (4 * (place & 1))) & 15;
      const error = Math.abs(scales[at]! * (q - 2 ** (bits - 1)) - value);
      // the far end of the other sign is one step short
      expect(error).toBeLessThanOrEqual(Math.abs(scales[at]!) * (q === 2 ** bits - 1 ? 1.01 : 0.501));
    });
  });

  test('the engine computes the product of the rounded matrix, bias and short last block included', async () => {
    const [rows, inputs, outputs] = [5, 72, 24];
    const weight = draw(outputs * inputs);
    const bias = draw(outputs);
    const y = gemm(input('x', [rows, inputs]), parameter('w', [outputs, inputs]), constant(bias, [outputs]), {
      transB: true,
    });
    const model = buildModel({ y }, { parameters: new Map([['w', weight]]) });
    const small = quantizeModel(model, { bits });
    expect(small.nodes.map(({ opType }) => opType)).toEqual(['MatMulNBits', 'Add']);
    expect(small.initializers.some(({ name }) => name === 'w')).toBe(false);
    const runtime = directRuntime();
    const x = draw(rows * inputs);
    const run = async (of: typeof model) =>
      (await (await runtime.createSession(of)).run({ x: float32(x, [rows, inputs]) })).y!.data as Float32Array;
    const [exact, rounded] = [await run(model), await run(small)];
    const size = Math.sqrt(exact.reduce((sum, v) => sum + v * v, 0) / exact.length);
    const error = Math.sqrt(exact.reduce((sum, v, i) => sum + (v - rounded[i]!) ** 2, 0) / exact.length);
    expect(error / size).toBeLessThan(bits === 8 ? 0.015 : 0.15);
    expect(error / size).toBeGreaterThan(1e-5);
    expect(quantizeModel(model, { bits, keep: () => true }).nodes).toEqual(model.nodes);
  });
});
