import { Philox } from '@unif2ace/graph';
import { describe, expect, test } from 'vitest';
import { type Conditional, exactNll, exactStepNll } from './exact-likelihood.ts';
import { unknownToken } from './sampler-maskgit.ts';
import { sampleFirstHitting, sampleReverse } from './sampler-reverse.ts';

// three tokens of three codes: 27 outcomes, whose exact probabilities come from enumeration

const [length, codes, images] = [3, 3, 20_000];
const grid = [0, 0.3, 0.6, 1];
const outcomes = Array.from({ length: codes ** length }, (_, n) => [Math.floor(n / 9), Math.floor(n / 3) % 3, n % 3]);
const indexOf = (tokens: ArrayLike<number>) => Array.from(tokens).reduce((n, v) => n * codes + v, 0);

/** Arbitrary rows for every state: no order of revealing agrees with another, so a wrong process shows. */
const table = new Map<string, Float64Array>();
const drawRow = new Philox(31);
function probabilitiesOf(tokens: ArrayLike<number>): Float64Array {
  const key = Array.from(tokens).join();
  const rows = table.get(key) ?? new Float64Array(length * codes);
  if (!table.has(key))
    for (let i = 0; i < length; i++) {
      const weights = Array.from({ length: codes }, () => Math.exp(1.5 * drawRow.normal()));
      const total = weights.reduce((a, b) => a + b, 0);
      weights.forEach((w, v) => {
        rows[i * codes + v] = w / total;
      });
    }
  table.set(key, rows);
  return rows;
}
const model: Conditional = (visible, i, v) => Math.log(probabilitiesOf(visible)[i * codes + v]!);
const network = async (tokens: Int32Array) => probabilitiesOf(tokens);
const empty = () => new Int32Array(length).fill(unknownToken);

async function countsOf(sample: (image: number) => Promise<Int32Array>): Promise<Float64Array> {
  const counts = new Float64Array(outcomes.length);
  for (let image = 0; image < images; image++) counts[indexOf(await sample(image))]!++;
  return counts;
}

function chiSquare(counts: Float64Array, nll: (x0: number[]) => number): number {
  return outcomes.reduce((sum, x0, n) => {
    const expected = images * Math.exp(-nll(x0));
    return sum + (counts[n]! - expected) ** 2 / expected;
  }, 0);
}

// 0.1 % point of chi-square with 26 degrees of freedom
const limit = 54.05;

describe('samples follow the exact model distribution', () => {
  test('reverse process on a grid', async () => {
    const counts = await countsOf((image) => sampleReverse(empty(), codes, network, grid, new Philox(7, image)));
    expect(chiSquare(counts, (x0) => exactStepNll(model, x0, grid))).toBeLessThan(limit);
    // the continuous process is another distribution: the test tells them apart
    expect(chiSquare(counts, (x0) => exactNll(model, x0))).toBeGreaterThan(4 * limit);
  });

  test('first-hitting: the continuous process', async () => {
    const counts = await countsOf((image) => sampleFirstHitting(empty(), codes, network, new Philox(8, image)));
    expect(chiSquare(counts, (x0) => exactNll(model, x0))).toBeLessThan(limit);
    expect(chiSquare(counts, (x0) => exactStepNll(model, x0, grid))).toBeGreaterThan(4 * limit);
  });

  test('with a known token: the same process on the rest', async () => {
    const start = () => Int32Array.of(unknownToken, 2, unknownToken);
    const rest: Conditional = (visible, i, v) => model([visible[0]!, 2, visible[1]!], i * 2, v);
    const counts = new Float64Array(9);
    for (let image = 0; image < images; image++) {
      const x = await sampleFirstHitting(start(), codes, network, new Philox(9, image));
      expect(x[1]).toBe(2);
      counts[x[0]! * codes + x[2]!]!++;
    }
    const statistic = counts.reduce((sum, count, n) => {
      const expected = images * Math.exp(-exactNll(rest, [Math.floor(n / codes), n % codes]));
      return sum + (count - expected) ** 2 / expected;
    }, 0);
    // 0.1 % point with 8 degrees of freedom
    expect(statistic).toBeLessThan(26.12);
  });
});

test('a finished image needs no network, a fresh one as many calls as tokens at most', async () => {
  let calls = 0;
  const counted = async (tokens: Int32Array) => {
    calls++;
    return network(tokens);
  };
  const done = Int32Array.of(0, 1, 2);
  expect(await sampleReverse(done, codes, counted, grid, new Philox(1))).toEqual(done);
  expect(await sampleFirstHitting(done, codes, counted, new Philox(1))).toEqual(done);
  expect(calls).toBe(0);
  await sampleFirstHitting(empty(), codes, counted, new Philox(1));
  expect(calls).toBe(length);
  await sampleReverse(
    empty(),
    codes,
    counted,
    Array.from({ length: 101 }, (_, t) => t / 100),
    new Philox(1),
  );
  expect(calls).toBeLessThanOrEqual(2 * length);
});
