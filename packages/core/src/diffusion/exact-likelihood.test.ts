import { Philox } from '@unif2ace/graph';
import { describe, expect, test } from 'vitest';
import { cosineCountProbability, d3diff, scoreWeight } from './d3diff.ts';
import {
  anyOrderMean,
  type Conditional,
  exactL1,
  exactNll,
  exactStepNll,
  maskedCrossEntropy,
  stepBounds,
} from './exact-likelihood.ts';
import { drawMask, drawMaskCount } from './masking.ts';
import { logLinearNoise, type NoiseSchedule } from './schedules.ts';
import { logScoreFromConditional, scoreEntropy, transposedTransition } from './score-entropy.ts';

// paper §1.7: its ten properties on models small enough to enumerate; L tokens of V codes, −1 = masked

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const mean = (values: readonly number[]) => sum(values) / values.length;

/** All sequences of `length` digits below `base`. */
function sequences(length: number, base: number): number[][] {
  if (length === 0) return [[]];
  return sequences(length - 1, base).flatMap((head) => Array.from({ length: base }, (_, v) => [...head, v]));
}

/** Log-probabilities that grow apart with `spread`. */
function randomRow(codes: number, random: Philox, spread = 1.5): number[] {
  const logits = Array.from({ length: codes }, () => spread * random.normal());
  const logSum = Math.log(sum(logits.map(Math.exp)));
  return logits.map((x) => x - logSum);
}

/** One arbitrary row for every state and position: the conditionals of no joint distribution. */
function randomTable(codes: number, seed: number): Conditional {
  const rows = new Map<string, number[]>();
  const random = new Philox(seed, 1);
  return (visible, i, v) => {
    const key = `${visible.join()};${i}`;
    const row = rows.get(key) ?? randomRow(codes, random);
    rows.set(key, row);
    return row[v]!;
  };
}

function randomJoint(length: number, codes: number, seed: number): Map<string, number> {
  const all = sequences(length, codes);
  const row = randomRow(all.length, new Philox(seed, 2));
  return new Map(all.map((x, n) => [x.join(), Math.exp(row[n]!)]));
}

/** Mass of the sequences that agree with the visible tokens. */
function marginal(joint: Map<string, number>, visible: readonly number[]): number {
  let mass = 0;
  for (const [key, q] of joint)
    if (key.split(',').every((x, i) => visible[i] === -1 || Number(x) === visible[i])) mass += q;
  return mass;
}

function conditionalsOf(joint: Map<string, number>): Conditional {
  return (visible, i, v) => Math.log(marginal(joint, visible.with(i, v)) / marginal(joint, visible));
}

function masksOf(length: number): { set: number; members: number[] }[] {
  return Array.from({ length: 2 ** length }, (_, set) => ({
    set,
    members: Array.from({ length }, (_, i) => i).filter((i) => (set >> i) & 1),
  }));
}

const uniformGrid = (steps: number) => Array.from({ length: steps + 1 }, (_, t) => t / steps);

describe('the ten properties', () => {
  test('1: ratios of the noised marginals are r times the clean conditional', () => {
    const [length, codes] = [3, 3];
    const joint = randomJoint(length, codes, 11);
    const p = conditionalsOf(joint);
    for (const lambda of [0.1, 0.5, 0.9]) {
      const sigma = -Math.log1p(-lambda);
      const kernel = Array.from({ length: codes + 1 }, (_, x) => transposedTransition(x, sigma, codes));
      const noised = (x: readonly number[]) =>
        sum([...joint].map(([x0, q]) => x.reduce((mass, to, i) => mass * kernel[to]![Number(x0.split(',')[i])]!, q)));
      for (const x of sequences(length, codes + 1))
        for (const i of x.keys()) {
          if (x[i] !== codes) continue;
          const visible = x.map((token) => (token === codes ? -1 : token));
          for (let v = 0; v < codes; v++) {
            const score = Math.exp(logScoreFromConditional(p(visible, i, v), sigma));
            expect(Math.abs(noised(x.with(i, v)) / noised(x) / score - 1)).toBeLessThan(1e-13);
          }
        }
    }
  });

  test('2: subsets, orders and the score entropy integrated over either schedule give one L1', () => {
    const [length, codes] = [3, 3];
    const p = randomTable(codes, 12);
    // λ = sin(πt/2); 1 − λ written as 2 sin²(π(1−t)/4), exact as t → 1
    const kept = (t: number) => 2 * Math.sin((Math.PI * (1 - t)) / 4) ** 2;
    const cosine: NoiseSchedule = {
      total: (t) => -Math.log(kept(t)),
      rate: (t) => ((Math.PI / 2) * Math.sin((Math.PI * (1 - t)) / 2)) / kept(t),
    };
    for (const x0 of sequences(length, codes).filter((_, n) => n % 4 === 0)) {
      const l1 = exactL1(p, x0);
      expect(Math.abs(anyOrderMean(p, x0) - l1)).toBeLessThan(1e-13);
      const integrand = (noise: NoiseSchedule) => (t: number) => {
        const [sigma, lambda] = [noise.total(t), -Math.expm1(-noise.total(t))];
        const expected = masksOf(length).map(({ members }) => {
          const visible = x0.map((x, i) => (members.includes(i) ? -1 : x));
          const entropies = members.map((i) => {
            const logScore = Array.from({ length: codes }, (_, v) => logScoreFromConditional(p(visible, i, v), sigma));
            return scoreEntropy([...logScore, 0], sigma, codes, x0[i]!);
          });
          return lambda ** members.length * (1 - lambda) ** (length - members.length) * sum(entropies);
        });
        return noise.rate(t) * sum(expected);
      };
      for (const noise of [logLinearNoise(0), cosine]) {
        expect(Math.abs(simpson(integrand(noise), 1e-9, 1 - 1e-9, 400) - l1)).toBeLessThan(2e-7);
      }
    }
  });

  test('3: with consistent conditionals L1 is the likelihood itself', () => {
    const joint = randomJoint(3, 3, 13);
    const p = conditionalsOf(joint);
    for (const [key, q] of joint) {
      const x0 = key.split(',').map(Number);
      expect(exactL1(p, x0)).toBeCloseTo(-Math.log(q), 12);
      expect(exactNll(p, x0)).toBeCloseTo(-Math.log(q), 12);
    }
  });

  test('4: inconsistent tables still make a distribution, and L1 bounds its likelihood', () => {
    let [cases, largestGap] = [0, 0];
    for (const [length, codes, tables] of [
      [2, 3, 20],
      [3, 3, 20],
      [4, 2, 20],
    ] as const)
      for (let seed = 0; seed < tables; seed++) {
        const p = randomTable(codes, 100 + seed);
        const all = sequences(length, codes);
        const nll = all.map((x0) => exactNll(p, x0));
        expect(sum(nll.map((n) => Math.exp(-n)))).toBeCloseTo(1, 12);
        all.forEach((x0, n) => {
          const gap = exactL1(p, x0) - nll[n]!;
          expect(gap).toBeGreaterThan(-1e-12);
          largestGap = Math.max(largestGap, gap);
          cases++;
        });
      }
    expect(cases).toBe(1040);
    expect(largestGap).toBeGreaterThan(1);
  });

  test('5: NLL_T ≤ L_T ≤ L2_T, and L_T tends to L1 while L2_T grows with T', () => {
    let looseAtOneStep = 0;
    for (let seed = 0; seed < 12; seed++) {
      const p = randomTable(3, 200 + seed);
      const all = sequences(3, 3);
      for (const steps of [1, 2, 3, 5, 10]) {
        const nll = all.map((x0) => exactStepNll(p, x0, uniformGrid(steps)));
        expect(sum(nll.map((n) => Math.exp(-n)))).toBeCloseTo(1, 12);
        all.forEach((x0, n) => {
          const { elbo, unweighted } = stepBounds(p, x0, uniformGrid(steps));
          expect(nll[n]!).toBeLessThan(elbo + 1e-12);
          expect(elbo).toBeLessThan(unweighted + 1e-12);
          if (steps === 1 && exactL1(p, x0) > unweighted) looseAtOneStep++;
        });
      }
    }
    // paper §1.8: Theorem 1's L1 ≤ L2 is not pointwise
    expect(looseAtOneStep).toBeGreaterThan(50);
    const [p, x0] = [randomTable(3, 5), [0, 2, 1]];
    const fine = stepBounds(p, x0, uniformGrid(800));
    const finer = stepBounds(p, x0, uniformGrid(1600));
    const error = (elbo: number) => Math.abs(elbo - exactL1(p, x0));
    expect(error(fine.elbo)).toBeLessThan(0.02);
    expect(error(finer.elbo) / error(fine.elbo)).toBeCloseTo(0.5, 2);
    expect(exactStepNll(p, x0, uniformGrid(800))).toBeCloseTo(exactNll(p, x0), 2);
    expect(finer.unweighted / fine.unweighted).toBeCloseTo(2, 2);
  });

  test('6: the uniform predictor has NLL = L1 = L log V and L2_T = Σλ·L log V', () => {
    const [length, codes, x0] = [4, 5, [0, 4, 2, 2]];
    const p: Conditional = () => -Math.log(codes);
    const bits = length * Math.log(codes);
    const grid = [0, 0.2, 0.25, 0.7, 1];
    expect(exactL1(p, x0)).toBeCloseTo(bits, 12);
    expect(exactNll(p, x0)).toBeCloseTo(bits, 12);
    expect(stepBounds(p, x0, grid).elbo).toBeCloseTo(bits, 12);
    expect(stepBounds(p, x0, grid).unweighted).toBeCloseTo(sum(grid) * bits, 12);
  });

  test('7: one step is one independent guess of every token', () => {
    const [p, x0] = [randomTable(3, 17), [2, 0, 1]];
    const guess = -sum(x0.map((x, i) => p([-1, -1, -1], i, x)));
    const { elbo, unweighted } = stepBounds(p, x0, [0, 1]);
    for (const value of [elbo, unweighted, exactStepNll(p, x0, [0, 1])]) expect(value).toBeCloseTo(guess, 12);
  });

  test('8: L times the mean cross-entropy under uniform k is L1, and so is w(k)·Σ ce under either law', () => {
    const [p, x0] = [randomTable(3, 18), [1, 1, 0, 2]];
    const length = x0.length;
    const ofSize = (k: number) =>
      masksOf(length)
        .filter(({ members }) => members.length === k)
        .map(({ set, members }) => ({ members, total: maskedCrossEntropy(p, x0, set) }));
    const counts = Array.from({ length }, (_, i) => i + 1);
    const perCount = counts.map((k) => mean(ofSize(k).map(({ total }) => total)));
    expect(length * mean(perCount.map((total, i) => total / counts[i]!))).toBeCloseTo(exactL1(p, x0), 12);
    for (const law of ['cosine', 'uniform'] as const) {
      const probability = (k: number) => (law === 'uniform' ? 1 / length : cosineCountProbability(k, length));
      const expected = counts.map((k) => {
        const scores = ofSize(k).map(({ members }) => {
          const visible = x0.map((x, i) => (members.includes(i) ? -1 : x));
          const ce = x0.map((x, i) => (members.includes(i) ? -p(visible, i, x) : Number.NaN));
          return d3diff(
            ce,
            x0.map((_, i) => Number(members.includes(i))),
            { law },
          ).score;
        });
        return probability(k) * mean(scores);
      });
      expect(sum(expected)).toBeCloseTo(exactL1(p, x0), 12);
    }
  });

  test('9: a mis-scaled score c·p costs r·(c − 1 − log c), whatever p is', () => {
    const sigma = 0.7;
    const r = 1 / (Math.exp(sigma) - 1);
    const random = new Philox(19);
    for (let n = 0; n < 5; n++) {
      const row = randomRow(4, random);
      const cost = (c: number) =>
        scoreEntropy([...row.map((x) => x + Math.log(c * r)), 0], sigma, 4, 2) -
        scoreEntropy([...row.map((x) => x + Math.log(r)), 0], sigma, 4, 2);
      for (const c of [0.01, 0.5, 0.99, 1, 1.01, 2, 50]) {
        expect(cost(c)).toBeCloseTo(r * (c - 1 - Math.log(c)), 11);
        expect(cost(c)).toBeGreaterThanOrEqual(-1e-12);
      }
    }
  });

  test('10: P(k) sums to 1, is what the sampler draws, and has the published values', () => {
    for (const length of [1, 2, 5, 16, 256]) {
      const counts = Array.from({ length }, (_, i) => i + 1);
      const p = counts.map((k) => cosineCountProbability(k, length));
      expect(sum(p)).toBeCloseTo(1, 12);
      expect(sum(counts.map((k, i) => p[i]! * k * scoreWeight(k, length, 'cosine')))).toBeCloseTo(length, 9);
    }
    for (const [k, p] of [
      [1, 0.00373],
      [2, 0.00249],
      [128, 0.00287],
      [256, 0.0398],
    ] as const)
      expect(Math.abs(cosineCountProbability(k, 256) / p - 1)).toBeLessThan(2e-3);
    for (const [k, w] of [
      [1, 268],
      [128, 2.72],
      [256, 0.098],
    ] as const)
      expect(Math.abs(scoreWeight(k, 256, 'cosine') / w - 1)).toBeLessThan(3e-3);
    const [length, draws] = [12, 100_000];
    for (const law of ['cosine', 'uniform'] as const) {
      const random = new Philox(20);
      const drawn = new Float64Array(length + 1);
      for (let n = 0; n < draws; n++) drawn[drawMaskCount(law, length, random)]!++;
      for (let k = 1; k <= length; k++) {
        const p = law === 'uniform' ? 1 / length : cosineCountProbability(k, length);
        expect(Math.abs(drawn[k]! / draws - p)).toBeLessThan(4.5 * Math.sqrt((p * (1 - p)) / draws));
      }
    }
  });
});

test('training masks: exactly k positions, every set of k equally often', () => {
  const random = new Philox(21);
  const seen = new Map<string, number>();
  for (let n = 0; n < 20_000; n++) {
    const mask = drawMask(2, 5, random);
    expect(sum([...mask])).toBe(2);
    seen.set(mask.join(), (seen.get(mask.join()) ?? 0) + 1);
  }
  expect(seen.size).toBe(10);
  for (const count of seen.values()) expect(Math.abs(count - 2000)).toBeLessThan(4.5 * Math.sqrt(2000 * 0.9));
});

function simpson(f: (t: number) => number, from: number, to: number, panels: number): number {
  const h = (to - from) / panels;
  let total = f(from) + f(to);
  for (let i = 1; i < panels; i++) total += (i % 2 ? 4 : 2) * f(from + i * h);
  return (total * h) / 3;
}
