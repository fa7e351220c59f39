import { gradients } from '../autodiff.ts';
import { mul } from '../ops/elementwise.ts';
import { reduceSum } from '../ops/reduce.ts';
import { sizeOf } from '../shape.ts';
import { constant, input, type Tensor } from '../tensor.ts';
import { evaluate } from './evaluate.ts';

export interface GradientCheck {
  /** Largest |analytic − numeric| over max(|numeric| of that input, 1e-2). */
  worstRelativeError: number;
  /** Where: "input 1, element 37: analytic 0.2, numeric 0.1". */
  worst: string;
}

/**
 * Compares the gradient rules on the way from `inputs` to `f` with central differences, in Float64.
 * `constants` feeds parameters and inputs that `f` makes itself.
 * The scalar is Σ y·c for a fixed irregular c, so that every output element counts differently.
 */
export function checkGradients(
  f: (inputs: readonly Tensor[]) => Tensor,
  inputs: readonly { shape: readonly number[]; data: ArrayLike<number> }[],
  options: { step?: number; constants?: Readonly<Record<string, ArrayLike<number>>> } = {},
): GradientCheck {
  const { step = 1e-5, constants = {} } = options;
  const symbols = inputs.map(({ shape }, i) => input(`x${i}`, shape));
  const loss = weightedSum(f(symbols));
  const feeds: Record<string, Float64Array> = Object.fromEntries(
    Object.entries(constants).map(([name, data]) => [name, Float64Array.from(data)]),
  );
  inputs.forEach(({ data }, i) => {
    feeds[`x${i}`] = Float64Array.from(data);
  });
  const analytic = evaluate(gradients(loss, symbols), feeds);
  let result: GradientCheck = { worstRelativeError: 0, worst: 'none' };
  inputs.forEach(({ data }, i) => {
    const numeric = new Float64Array(data.length);
    const values = feeds[`x${i}`]!;
    for (let j = 0; j < values.length; j++) {
      const kept = values[j]!;
      values[j] = kept + step;
      const up = evaluate([loss], feeds)[0]!.data[0]!;
      values[j] = kept - step;
      const down = evaluate([loss], feeds)[0]!.data[0]!;
      values[j] = kept;
      numeric[j] = (up - down) / (2 * step);
    }
    const scale = Math.max(1e-2, ...numeric.map(Math.abs));
    numeric.forEach((expected, j) => {
      const error = Math.abs(analytic[i]!.data[j]! - expected) / scale;
      if (!(error <= result.worstRelativeError))
        result = {
          worstRelativeError: error,
          worst: `input ${i}, element ${j}: analytic ${analytic[i]!.data[j]}, numeric ${expected}`,
        };
    });
  });
  return result;
}

/** Σ y·c with c_i = sin(1.3 i + 0.7): a scalar to which every element contributes differently. */
export function weightedSum(y: Tensor): Tensor {
  const shape = y.shape as readonly number[];
  return reduceSum(
    mul(
      y,
      constant(
        Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(1.3 * i + 0.7)),
        shape,
      ),
    ),
  );
}
