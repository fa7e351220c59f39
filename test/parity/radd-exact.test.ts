import {
  anyOrderMean,
  type Conditional,
  exactL1,
  exactNll,
  geometricNoise,
  logLinearNoise,
  maskedCrossEntropy,
  orderLoss,
} from '@unif2ace/core';
import { describe, test } from 'vitest';
import { expectClose, loadFixture, type Tolerance } from './fixture.ts';

type Exact = Record<string, number[]>;
interface Json {
  config: { vocab: number; length: number };
  tolerance: { 'outputs.*': Tolerance };
  exact: { random: Exact; consistent: Exact };
}

const fixture = loadFixture<Json>('radd-exact');
const { config, exact, tolerance } = fixture.json;
const { vocab, length } = config;
const sequences = Array.from({ length: vocab ** length }, (_, n) =>
  fixture.ints('inputs.x0').slice(n * length, (n + 1) * length),
);
// the recorded values are exact for the float32 table
const tight = { atol: 1e-9 };

function tableOf(name: string): Conditional {
  const table = fixture.f32(`inputs.${name}.log_cond`);
  return (visible, i, v) => {
    const state = visible.reduce((at, x) => at * (vocab + 1) + (x < 0 ? vocab : x), 0);
    return table[(state * length + i) * vocab + v]!;
  };
}

/** Simpson's rule for ∫ σ'/(e^σ−1)·E[Σ ce] dt = ∫ (1/λ)·E[Σ ce] dλ between the schedule's ends. */
function timeIntegral(p: Conditional, x0: number[], low: number, high: number): number {
  const f = (lambda: number) => {
    let sum = 0;
    for (let set = 1; set < 2 ** length; set++) {
      const k = [...set.toString(2)].filter((bit) => bit === '1').length;
      sum += lambda ** (k - 1) * (1 - lambda) ** (length - k) * maskedCrossEntropy(p, x0, set);
    }
    return sum;
  };
  const n = 64;
  const h = (high - low) / n;
  let total = f(low) + f(high);
  for (let i = 1; i < n; i++) total += (i % 2 ? 4 : 2) * f(low + i * h);
  return (total * h) / 3;
}

describe.each(['random', 'consistent'] as const)('exact likelihood, %s table', (name) => {
  const p = tableOf(name);
  const want = exact[name];
  const check = (key: string, f: (x0: number[]) => number, how = tight) =>
    expectClose(sequences.map(f), want[key]!, how, key);

  test('L1 by subsets, by orders, and the mixture likelihood', () => {
    check('nelbo_closed', (x0) => exactL1(p, x0));
    check('any_order_mean', (x0) => anyOrderMean(p, x0));
    check('any_order_mixture', (x0) => exactNll(p, x0));
    for (const key of ['nelbo_closed', 'any_order_mean', 'any_order_mixture'])
      expectClose(want[key]!, fixture.f32(`outputs.${name}.${key}`), tolerance['outputs.*'], key);
  });

  test('each order', () => {
    for (const key of Object.keys(want).filter((k) => /^order_\d+$/.test(k)))
      check(key, (x0) => orderLoss(p, x0, [...key.slice('order_'.length)].map(Number)));
  });

  test('time integrals of two noise schedules, by cross-entropy', () => {
    const lambda = (sigma: number) => -Math.expm1(-sigma);
    const ends = {
      'loglinear_eps1e-3': [logLinearNoise().total(0), logLinearNoise().total(1)],
      'geometric_1e-4_20': [geometricNoise(1e-4, 20).total(0), geometricNoise(1e-4, 20).total(1)],
    };
    for (const [schedule, [low, high]] of Object.entries(ends)) {
      const value = (x0: number[]) => timeIntegral(p, x0, lambda(low!), lambda(high!));
      check(`nelbo_time_${schedule}`, value);
      // the stored float32 rows sum to 1 within 1e-7 only
      check(`dse_time_${schedule}`, value, { atol: 1e-6 });
      expectClose(
        sequences.map(value),
        fixture.f32(`outputs.${name}.nelbo_time_${schedule}`),
        tolerance['outputs.*'],
        schedule,
      );
    }
  });
});
