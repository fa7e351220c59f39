import { describe, expect, it } from 'vitest';
import { Philox, philox4x32, streamFromName } from './random.ts';

/** Upper 0.1 % point of chi-square with `freedom` degrees (Wilson–Hilferty). */
function chiSquareLimit(freedom: number): number {
  const z = 3.0902;
  return freedom * (1 - 2 / (9 * freedom) + z * Math.sqrt(2 / (9 * freedom))) ** 3;
}

function chiSquare(counts: ArrayLike<number>, expected: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < counts.length; i++) sum += (counts[i]! - expected(i)) ** 2 / expected(i);
  return sum;
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

describe('philox4x32', () => {
  // known answers of the Random123 distribution (kat_vectors, "philox4x32 10")
  const vectors: [number[], number[], number[]][] = [
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [Array(4).fill(0xffffffff), Array(2).fill(0xffffffff), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ];
  it.each(vectors)('counter %j', (counter, key, words) => {
    expect(philox4x32(counter as [number, number, number, number], key as [number, number])).toEqual(words);
  });

  it('lays the seed out as the key and the streams as the upper counter words', () => {
    const random = new Philox(0x299f31d0a4093822n, 0x85a308d3, 0x13198a2e, 0x03707344);
    random.restore({ block: 0x243f6a88, used: 4, spareNormal: null });
    expect(Array.from({ length: 4 }, () => random.uint32())).toEqual(vectors[2]![2]);
  });
});

describe('sequences', () => {
  const take = (random: Philox, count = 10) => Array.from({ length: count }, () => random.uint32());

  it('depend on seed and stream alone', () => {
    const names = [[1], [2], [1, 1], [1, 0, 1], [1, 0, 0, 1], [1, 2]] as [number, ...number[]][];
    expect(new Set(names.map(([seed, ...stream]) => take(new Philox(seed, ...stream)).join())).size).toBe(names.length);
    const batch = Array.from({ length: 8 }, (_, image) => new Philox(7, image));
    const interleaved = batch.map(() => [] as number[]);
    for (let step = 0; step < 10; step++)
      for (const [image, random] of batch.entries()) interleaved[image]!.push(random.uint32());
    expect(interleaved).toEqual(batch.map((_, image) => take(new Philox(7, image))));
  });

  it('of different images are uncorrelated', () => {
    const [a, b] = [new Philox(5, 0), new Philox(5, 1)];
    const products = Array.from({ length: 20_000 }, () => (a.uniform() - 0.5) * (b.uniform() - 0.5));
    expect(Math.abs(mean(products))).toBeLessThan(4 / 12 / Math.sqrt(20_000));
  });

  it('fork without regard to what was drawn', () => {
    const used = new Philox(3, 4);
    take(used, 7);
    expect(take(used.fork(1, 2))).toEqual(take(new Philox(3, 4).fork(1, 2)));
    const children = [[], [0], [1], [0, 0], [0, 1], [1, 0]].map((stream) =>
      take(new Philox(3, 4).fork(...stream)).join(),
    );
    expect(new Set([...children, take(new Philox(3, 4)).join(), take(new Philox(3, 5).fork(1)).join()]).size).toBe(8);
  });

  it.each([0, 1, 2, 3, 4, 5, 9])('continue from a state stored after %i draws', (drawn) => {
    const random = new Philox(11, 2);
    take(random, drawn);
    random.normal();
    const state = JSON.parse(JSON.stringify(random.state()));
    const rest = [random.normal(), ...take(random)];
    const restored = new Philox(11, 2).restore(state);
    expect([restored.normal(), ...take(restored)]).toEqual(rest);
  });

  it('reject bad names', () => {
    expect(() => new Philox(0.5)).toThrow('philox: seed 0.5 is not a safe integer');
    expect(() => new Philox(-1)).toThrow('philox: seed -1 is out of range');
    expect(() => new Philox(1n << 64n)).toThrow('out of range');
    expect(() => new Philox(1, 2, 3, 4, 5)).toThrow('at most three stream numbers, got 4');
    expect(() => new Philox(1).fork(1, 2, 3, 4)).toThrow('at most three stream numbers, got 4');
  });

  it('hash names as 64-bit FNV-1a does', () => {
    // published test vectors of FNV-1a 64
    expect(streamFromName('')).toEqual([0x84222325, 0xcbf29ce4]);
    expect(streamFromName('a')).toEqual([0x8601ec8c, 0xaf63dc4c]);
    expect(streamFromName('foobar')).toEqual([0xf73967e8, 0x85944171]);
  });
});

describe('distributions', () => {
  const count = 40_000;

  it('uniform: 53 bits, even in its first and last bits', () => {
    const random = new Philox(21);
    const [high, low] = [new Float64Array(64), new Float64Array(64)];
    for (let i = 0; i < count; i++) {
      const u = random.uniform();
      expect(u >= 0 && u < 1 && Number.isInteger(u * 2 ** 53)).toBe(true);
      high[Math.floor(u * 64)]!++;
      low[(u * 2 ** 53) % 64]!++;
    }
    expect(chiSquare(high, () => count / 64)).toBeLessThan(chiSquareLimit(63));
    expect(chiSquare(low, () => count / 64)).toBeLessThan(chiSquareLimit(63));
  });

  it('normal: moments and tail', () => {
    const random = new Philox(22);
    const x = Array.from({ length: count }, () => random.normal());
    expect(Math.abs(mean(x))).toBeLessThan(4 / Math.sqrt(count));
    expect(Math.abs(mean(x.map((v) => v * v)) - 1)).toBeLessThan(4 * Math.sqrt(2 / count));
    expect(Math.abs(mean(x.map((v) => v ** 3)))).toBeLessThan(4 * Math.sqrt(15 / count));
    expect(Math.abs(mean(x.map((v) => v ** 4)) - 3)).toBeLessThan(4 * Math.sqrt(96 / count));
    expect(Math.abs(mean(x.map((v) => Number(Math.abs(v) > 1.959964))) - 0.05)).toBeLessThan(
      4 * Math.sqrt(0.0475 / count),
    );
    expect(Math.abs(mean(x.slice(1).map((v, i) => v * x[i]!)))).toBeLessThan(4 / Math.sqrt(count));
  });

  it('gumbel: mean is Euler’s constant, variance π²/6, argmax of shifted draws a softmax', () => {
    const random = new Philox(23);
    const x = Array.from({ length: count }, () => random.gumbel());
    const centre = mean(x);
    expect(Math.abs(centre - 0.5772156649)).toBeLessThan(4 * Math.sqrt(Math.PI ** 2 / 6 / count));
    expect(Math.abs(mean(x.map((v) => (v - centre) ** 2)) - Math.PI ** 2 / 6)).toBeLessThan(
      4 * Math.sqrt(11.9 / count),
    );
    const weights = [0.5, 0.3, 0.15, 0.05];
    const wins = new Float64Array(4);
    for (let i = 0; i < count; i++) {
      const scores = weights.map((w) => Math.log(w) + random.gumbel());
      wins[scores.indexOf(Math.max(...scores))]!++;
    }
    expect(chiSquare(wins, (i) => weights[i]! * count)).toBeLessThan(chiSquareLimit(3));
  });

  it('int: even for a bound that is no power of two, and rejecting beyond 3·2³⁰', () => {
    const random = new Philox(24);
    const counts = new Float64Array(7);
    for (let i = 0; i < count; i++) counts[random.int(7)]!++;
    expect(chiSquare(counts, () => count / 7)).toBeLessThan(chiSquareLimit(6));
    // a remainder without rejection would fall in the lowest third twice as often
    const thirds = new Float64Array(3);
    for (let i = 0; i < count; i++) thirds[Math.floor(random.int(3 * 2 ** 30) / 2 ** 30)]!++;
    expect(chiSquare(thirds, () => count / 3)).toBeLessThan(chiSquareLimit(2));
    for (const bad of [0, -1, 1.5, 2 ** 32 + 1]) expect(() => random.int(bad)).toThrow('philox: int needs 1 to 2^32');
    expect(random.int(1)).toBe(0);
  });

  it('permutation: all 24 orders of four are equally likely', () => {
    const random = new Philox(25);
    const counts = new Map<string, number>();
    for (let i = 0; i < count; i++) {
      const order = random.permutation(4).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    expect(chiSquare([...counts.values()], () => count / 24)).toBeLessThan(chiSquareLimit(23));
    expect([...random.shuffle(['a', 'b', 'c'])].sort()).toEqual(['a', 'b', 'c']);
  });

  it('categorical: in proportion to the weights, never a zero weight', () => {
    const random = new Philox(26);
    const weights = Float64Array.of(0, 2, 5, 0, 1, 0);
    const counts = new Float64Array(6);
    for (let i = 0; i < count; i++) counts[random.categorical(weights)]!++;
    expect([counts[0], counts[3], counts[5]]).toEqual([0, 0, 0]);
    expect(chiSquare([counts[1]!, counts[2]!, counts[4]!], (i) => (count * [2, 5, 1][i]!) / 8)).toBeLessThan(
      chiSquareLimit(2),
    );
    expect(() => random.categorical([0, 0])).toThrow('philox: weights sum to 0');
    expect(() => random.categorical([1, Number.NaN])).toThrow('philox: weights sum to NaN');
    expect(() => random.categorical([1, -1, 3])).toThrow('philox: weight 1 is -1');
  });
});
