import {
  buildModel,
  float32,
  gradients,
  input,
  int32,
  mul,
  reduceSum,
  type Tensor,
  type TensorValues,
} from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { afterAll, describe, expect, test } from 'vitest';
import { bitsToIndex, codebookEntry, indexToBits, lookupFreeQuantize, quantizerLosses } from './lookup-free.ts';
import { MagvitConfig } from './magvit.ts';

// B batch, C code bits, h × w token grid, N = h·w tokens

const runtime = directRuntime({ intraOpThreads: 2 });
afterAll(() => runtime.close());

async function run(outputs: Record<string, Tensor>, feeds: TensorValues): Promise<Record<string, number[]>> {
  const session = await runtime.createSession(buildModel(outputs));
  const values = await session.run(feeds);
  await session.release();
  return Object.fromEntries(
    Object.entries(values).map(([name, { data }]) => [name, Array.from(data as never, Number)]),
  );
}

const zShape = [2, 3, 2, 2] as const;
/** Both signs, an exact zero, and features far from the codes. */
const z = Float32Array.from([
  0.3, -0.2, 0, 1.7, -1.1, 0.05, 2.5, -0.6, 0.9, -3, 0.4, 0.1, -0.7, 1.2, -0.01, 0.8, 0.2, -2.2, 1, -1, 40, -40, 0.6,
  -0.3,
]);
const zFeed = { z: float32(z, zShape) };

describe('codes', () => {
  const bits = 13;
  const ids = Array.from({ length: 2 ** bits }, (_, id) => id);
  const binary = (id: number, length: number) => [...id.toString(2).padStart(length, '0')].map(Number);

  test('all 8,192 codes: bits as written in base two, and back to the same number', async () => {
    const grid = [64, 128] as const;
    const entry_BCHW = codebookEntry(input('ids', [1, ids.length], 'int32'), bits, grid);
    const again = lookupFreeQuantize(entry_BCHW).indices_BN;
    const got = await run({ entry: entry_BCHW, again }, { ids: int32(ids, [1, ids.length]) });
    expect(got.again).toEqual(ids);
    for (const id of ids) {
      const written = binary(id, bits);
      expect(indexToBits(id, bits)).toEqual(written);
      expect(bitsToIndex(written)).toBe(id);
      expect(written.map((_, c) => (got.entry![c * ids.length + id]! + 1) / 2)).toEqual(written);
    }
  });

  test('30 bits, the most a configuration may have', async () => {
    const some = [0, 1, 2 ** 29, 2 ** 29 - 1, 2 ** 30 - 1, 715_827_882];
    const entry = codebookEntry(input('ids', [1, some.length], 'int32'), 30, [2, 3]);
    const got = await run({ again: lookupFreeQuantize(entry).indices_BN }, { ids: int32(some, [1, some.length]) });
    expect(got.again).toEqual(some);
    for (const id of some) expect(bitsToIndex(indexToBits(id, 30))).toBe(id);
  });

  test('zero counts as bit 0, the grid is read row by row, and the gradient goes straight through', async () => {
    const symbol = input('z', zShape);
    const { codes_BCHW, indices_BN } = lookupFreeQuantize(symbol);
    const cotangent = Float32Array.from(z, (_, i) => i - 7);
    const loss = reduceSum(mul(codes_BCHW, input('c', zShape)));
    const feeds = { ...zFeed, c: float32(cotangent, zShape) };
    const got = await run({ codes: codes_BCHW, indices: indices_BN, d: gradients(loss, [symbol])[0]! }, feeds);
    expect(got.codes).toEqual(Array.from(z, (value) => (value > 0 ? 1 : -1)));
    // worked by hand from the signs: the first image's top left token is + − +, so 4 + 0 + 1
    expect(got.indices).toEqual([5, 2, 3, 5, 3, 4, 3, 4]);
    expect(got.d).toEqual(Array.from(cotangent));
  });

  test('refuses what is no code', () => {
    for (const index of [-1, 8, 1.5, Number.NaN]) expect(() => indexToBits(index, 3)).toThrow('0 … 7 for 3 bits');
    expect(() => bitsToIndex([0, 2])).toThrow('expected 0 or 1 at bit 1, got 2');
    expect(() => bitsToIndex(new Array(31).fill(0))).toThrow('at most 30 bits');
  });
});

describe('losses', () => {
  const config = MagvitConfig.parse({ commitmentBeta: 0.25, commitmentWeight: 0.3, entropyWeight: 0.7 });
  const n = z.length;
  const nearest = (value: number) => (value > 0 ? 1 : -1);

  /** Entropy term in Float64 as defined: two-way softmax of −(z − 1)² and −(z + 1)² of each bit. */
  function entropyTerm(values: readonly number[]): number {
    const entropy = (p: number) => (p <= 0 || p >= 1 ? 0 : -p * Math.log(p) - (1 - p) * Math.log(1 - p));
    const on = values.map((v) => 1 / (1 + Math.exp((v - 1) ** 2 - (v + 1) ** 2)));
    const [batch, channels, height, width] = zShape;
    const cells = height * width;
    const ofMean = Array.from({ length: channels }, (_, c) => {
      const own = on.filter((_, i) => Math.floor(i / cells) % channels === c);
      return entropy(own.reduce((a, b) => a + b) / (batch * cells));
    });
    const mean = (list: number[]) => list.reduce((a, b) => a + b) / list.length;
    return config.entropyWeight * (mean(on.map(entropy)) - mean(ofMean));
  }

  test('values and gradients against the definitions, saturated features included', async () => {
    const symbol = input('z', zShape);
    const { commitment, entropy } = quantizerLosses(config, symbol, lookupFreeQuantize(symbol).codes_BCHW);
    const outputs = {
      commitment,
      entropy,
      dCommitment: gradients(commitment, [symbol])[0]!,
      dEntropy: gradients(entropy, [symbol])[0]!,
    };
    const got = await run(outputs, zFeed);
    const values = Array.from(z);
    const { commitmentBeta: beta, commitmentWeight } = config;
    const distance = values.reduce((sum, v) => sum + (v - nearest(v)) ** 2, 0) / n;
    expect(got.commitment![0]! / (commitmentWeight * (1 + beta) * distance)).toBeCloseTo(1, 6);
    expect(got.entropy![0]).toBeCloseTo(entropyTerm(values), 6);
    const step = 1e-5;
    values.forEach((v, i) => {
      // β reduces the pull: the second term reaches z through the straight-through estimator
      expect(got.dCommitment![i]).toBeCloseTo((commitmentWeight * 2 * (1 - beta) * (v - nearest(v))) / n, 6);
      const [up, down] = [values.with(i, v + step), values.with(i, v - step)];
      expect(got.dEntropy![i]).toBeCloseTo((entropyTerm(up) - entropyTerm(down)) / (2 * step), 6);
    });
  });

  test('decorrelation: values and gradients against the definition; 0 for bits of all four pairs, the weight for repeated ones', async () => {
    const weight = 0.7;
    const decorrelated = MagvitConfig.parse({ decorrelationWeight: weight });
    /** Mean squared mean product of two soft bits, in Float64. */
    const definition = (values: readonly number[], [batch, bits, height, width]: readonly number[]) => {
      const cells = height! * width!;
      const soft = (b: number, c: number, i: number) => Math.tanh(2 * values[(b * bits! + c) * cells + i]!);
      let sum = 0;
      for (let c = 0; c < bits!; c++)
        for (let d = 0; d < bits!; d++) {
          if (c === d) continue;
          let product = 0;
          for (let b = 0; b < batch!; b++) for (let i = 0; i < cells; i++) product += soft(b, c, i) * soft(b, d, i);
          sum += (product / (batch! * cells)) ** 2;
        }
      return (weight * sum) / (bits! * (bits! - 1));
    };
    const term = async (values: Float32Array, shape: readonly [number, number, number, number]) => {
      const symbol = input('z', shape);
      const { decorrelation } = quantizerLosses(decorrelated, symbol, lookupFreeQuantize(symbol).codes_BCHW);
      return run({ decorrelation, d: gradients(decorrelation, [symbol])[0]! }, { z: float32(values, shape) });
    };
    const got = await term(z, zShape);
    const values = Array.from(z);
    expect(got.decorrelation![0]).toBeCloseTo(definition(values, zShape), 6);
    const step = 1e-5;
    values.forEach((v, i) => {
      const [up, down] = [values.with(i, v + step), values.with(i, v - step)];
      expect(got.d![i]).toBeCloseTo((definition(up, zShape) - definition(down, zShape)) / (2 * step), 5);
    });
    const pair = [1, 2, 2, 2] as const;
    expect((await term(Float32Array.of(9, 9, -9, -9, 9, -9, 9, -9), pair)).decorrelation![0]).toBeCloseTo(0, 6);
    expect((await term(Float32Array.of(9, 9, -9, -9, 9, 9, -9, -9), pair)).decorrelation![0]).toBeCloseTo(weight, 6);
  });
});
