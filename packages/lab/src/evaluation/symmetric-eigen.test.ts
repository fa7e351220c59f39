import { Philox } from '@unif2ace/graph';
import { describe, expect, test } from 'vitest';
import { symmetricEigen } from './symmetric-eigen.ts';

function randomSymmetric(n: number, seed: number, scale = 1): Float64Array {
  const random = new Philox(seed);
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      a[i * n + j] = scale * random.normal();
      a[j * n + i] = a[i * n + j]!;
    }
  return a;
}

/** Largest |A·v − λ·v| and |V·Vᵀ − I|. */
function residuals(a: Float64Array, n: number): { equation: number; orthogonality: number } {
  const { values, vectors } = symmetricEigen(a, n, { vectors: true });
  let [equation, orthogonality] = [0, 0];
  for (let k = 0; k < n; k++) {
    for (let i = 0; i < n; i++) {
      let [product, dot] = [0, 0];
      for (let j = 0; j < n; j++) {
        product += a[i * n + j]! * vectors[k * n + j]!;
        dot += vectors[i * n + j]! * vectors[k * n + j]!;
      }
      equation = Math.max(equation, Math.abs(product - values[k]! * vectors[k * n + i]!));
      orthogonality = Math.max(orthogonality, Math.abs(dot - (i === k ? 1 : 0)));
    }
  }
  return { equation, orthogonality };
}

describe('symmetricEigen', () => {
  test('second difference matrix: 2 − 2·cos(kπ/(n+1)), known in closed form', () => {
    const n = 40;
    const a = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      a[i * n + i] = 2;
      if (i > 0) {
        a[i * n + i - 1] = -1;
        a[(i - 1) * n + i] = -1;
      }
    }
    const { values } = symmetricEigen(a, n, { vectors: false });
    values.forEach((value, k) => {
      expect(value).toBeCloseTo(2 - 2 * Math.cos(((k + 1) * Math.PI) / (n + 1)), 13);
    });
  });

  test('exchange matrix of a known spectrum: n/2 times −1, n/2 times +1', () => {
    const n = 12;
    const a = Float64Array.from({ length: n * n }, (_, at) => (Math.floor(at / n) + (at % n) === n - 1 ? 1 : 0));
    const { values } = symmetricEigen(a, n, { vectors: true });
    values.forEach((value, k) => {
      expect(value).toBeCloseTo(k < n / 2 ? -1 : 1, 13);
    });
  });

  test.each([
    [1, 1],
    [2, 1],
    [3, 1e-180],
    [33, 1e120],
    [96, 1],
  ])('order %i, scale %f: A·v = λ·v, orthonormal vectors, ascending values', (n, scale) => {
    const a = randomSymmetric(n, n, scale);
    const { equation, orthogonality } = residuals(a, n);
    expect(equation / scale).toBeLessThan(1e-12);
    expect(orthogonality).toBeLessThan(1e-12);
    const { values } = symmetricEigen(a, n, { vectors: false });
    expect(Array.from(values)).toEqual(Array.from(values).sort((x, y) => x - y));
  });

  test('zero rows and repeated values', () => {
    const n = 6;
    const a = new Float64Array(n * n);
    for (const i of [1, 3, 4]) a[i * n + i] = 5;
    a[1 * n + 4] = 2;
    a[4 * n + 1] = 2;
    const { values } = symmetricEigen(a, n, { vectors: false });
    for (const [k, want] of [0, 0, 0, 3, 5, 7].entries()) expect(values[k]).toBeCloseTo(want, 13);
    expect(residuals(a, n).equation).toBeLessThan(1e-13);
  });

  test('errors say what was expected', () => {
    expect(() => symmetricEigen(new Float64Array(5), 2, { vectors: false })).toThrow(/expected 2×2 = 4 entries, got 5/);
    expect(() => symmetricEigen(Float64Array.of(Number.NaN), 1, { vectors: false })).toThrow(/expected finite entries/);
  });
});
