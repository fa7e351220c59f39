import { FlatState } from '@unif2ace/graph';
import { describe, expect, test } from 'vitest';
import { AdamW, clipGradNorm } from './adamw.ts';

const init = { kind: 'zeros' } as const;

describe('AdamW over a large state', () => {
  test('every element follows the paper in float64, decay by parameter, padding untouched', () => {
    // lengths that end inside a lane, inside a block and after several blocks
    const specs = [
      { name: 'a.weight', shape: [30_001], init },
      { name: 'a.bias', shape: [3], init },
      { name: 'b.weight', shape: [8192], init },
      { name: 'c.weight', shape: [8193], init },
      { name: 'c.bias', shape: [17], init },
    ];
    const state = new FlatState(specs);
    const isBias = (name: string) => name.endsWith('.bias');
    const [rate, decay, beta1, beta2, epsilon] = [0.01, 0.1, 0.9, 0.99, 1e-6];
    const options = {
      learningRate: rate,
      weightDecay: decay,
      betas: [beta1, beta2] as const,
      epsilon,
      noDecay: isBias,
    };
    const optimizer = new AdamW(state, options);
    const gradient = (i: number, step: number) => Math.fround(Math.sin(1.7 * i + step) / (1 + (i % 5)));
    const expected = new Map(
      specs.map(({ name }) => [
        name,
        Array.from(state.param(name), (_, i) => ({ p: Math.fround(Math.cos(i)), m: 0, v: 0 })),
      ]),
    );
    for (const { name } of specs) state.param(name).set(expected.get(name)!.map(({ p }) => p));
    for (let step = 1; step <= 4; step++) {
      for (const { name } of specs) state.grad(name).set(state.grad(name).map((_, i) => gradient(i, step)));
      optimizer.step();
      for (const { name } of specs)
        for (const [i, e] of expected.get(name)!.entries()) {
          const g = gradient(i, step);
          e.m = beta1 * e.m + (1 - beta1) * g;
          e.v = beta2 * e.v + (1 - beta2) * g * g;
          const [mHat, vHat] = [e.m / (1 - beta1 ** step), e.v / (1 - beta2 ** step)];
          e.p -= rate * ((isBias(name) ? 0 : decay) * e.p + mHat / (Math.sqrt(vHat) + epsilon));
        }
    }
    for (const { name } of specs) {
      const want = expected.get(name)!;
      const worst = state.param(name).reduce((most, got, i) => Math.max(most, Math.abs(got - want[i]!.p)), 0);
      expect(worst, name).toBeLessThan(1e-6);
    }
    const used = new Set(
      specs.flatMap(({ name }) => Array.from(state.param(name), (_, i) => state.range(name).start + i)),
    );
    expect(state.params.filter((p, i) => !used.has(i) && p !== 0)).toHaveLength(0);
  });

  test('rejects rates that cannot work', () => {
    const state = new FlatState([{ name: 'w', shape: [2], init }]);
    const base = { learningRate: 1, weightDecay: 0, noDecay: () => false };
    expect(() => new AdamW(state, { ...base, betas: [0.9, 1] })).toThrow(/adamW: expected betas in \[0, 1\), got 1/);
    expect(() => new AdamW(state, { ...base, epsilon: 0 })).toThrow(/adamW: expected a positive epsilon, got 0/);
  });
});

describe('clipGradNorm', () => {
  test('large norms are scaled to the limit, small ones kept, at a length that is no multiple of four', () => {
    const grads = Float32Array.from({ length: 7 }, (_, i) => i + 1);
    const norm = Math.sqrt(140);
    expect(clipGradNorm(grads, 2)).toBeCloseTo(norm, 12);
    expect(Math.hypot(...grads)).toBeCloseTo(2, 6);
    const kept = grads.slice();
    clipGradNorm(grads, 3);
    expect(grads).toEqual(kept);
  });

  test('a norm that is not finite is returned and changes nothing', () => {
    const grads = Float32Array.of(1, Number.NaN, 2);
    expect(clipGradNorm(grads, 1)).toBeNaN();
    expect(grads).toEqual(Float32Array.of(1, Number.NaN, 2));
    expect(clipGradNorm(Float32Array.of(Number.POSITIVE_INFINITY), 1)).toBe(Number.POSITIVE_INFINITY);
  });
});
