import { describe, expect, test } from 'vitest';
import { checkGradients } from '../naive/gradient-check.ts';
import { Philox } from '../random.ts';
import { withGradient } from '../tensor.ts';
import { operatorCases } from './cases.ts';
import { mul, square } from './elementwise.ts';

function draw(shape: readonly number[], seed: number, positive: boolean): Float64Array {
  const random = new Philox(seed);
  return Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () =>
    positive ? 0.5 + random.uniform() : 3 * random.uniform() - 1.5,
  );
}

describe('gradient rules agree with central differences in Float64', () => {
  test.each(operatorCases)('$name', ({ small, f, positive }) => {
    const inputs = small.map((shape, i) => ({ shape, data: draw(shape, 17 + i, positive ?? false) }));
    const check = checkGradients((x) => f(...x), inputs);
    expect(check.worstRelativeError, check.worst).toBeLessThan(1e-5);
  });

  test('a wrong rule is found', () => {
    const check = checkGradients(
      ([x]) => withGradient(square(x!), [x!], (dy) => [mul(dy, x!)]),
      [{ shape: [3], data: [1, 2, 3] }],
    );
    expect(check.worstRelativeError).toBeGreaterThan(0.4);
  });
});
