import { Philox } from '@unif2ace/graph';
import type { FeatureMatrix } from './frechet.ts';

// M samples of each set, D features

export const mmdEstimators = ['unbiased', 'biased', 'u-statistic'] as const;

export interface PolynomialKernel {
  /** Default 3. */
  degree?: number;
  /** Factor of the inner product. Default 1 / D. */
  gamma?: number;
  /** Default 1. */
  coef0?: number;
}

export interface KernelDistanceOptions extends PolynomialKernel {
  /** Number of subsets the estimate is averaged over. Default 100. */
  subsets?: number;
  /** Samples of each set in a subset. Default 1000, or the smaller set when that has fewer. */
  subsetSize?: number;
  /** Chooses the subsets. Default 2020. */
  seed?: number;
  /** As in `polynomialMmd2`. Default 'unbiased'. */
  estimator?: (typeof mmdEstimators)[number];
  /** Row numbers of each subset, in place of drawn ones. */
  rows?: { first: readonly number[][]; second: readonly number[][] };
}

export interface KernelDistance {
  mean: number;
  /** Population standard deviation over the subsets. */
  std: number;
  each: number[];
}

/**
 * Kernel values k(x, y) = (γ·x·y + c)^degree of all pairs, float64 [rows of first, rows of second].
 *
 * @throws RangeError when the sets have different numbers of features.
 */
export function polynomialKernel(
  first: FeatureMatrix,
  second: FeatureMatrix,
  { degree = 3, gamma = 1 / first.columns, coef0 = 1 }: PolynomialKernel = {},
): Float64Array {
  const d = first.columns;
  if (second.columns !== d)
    throw new RangeError(`polynomialKernel: expected equal numbers of features, got ${d} and ${second.columns}`);
  const values = new Float64Array(first.rows * second.rows);
  for (let i = 0, at = 0; i < first.rows; i++)
    for (let j = 0; j < second.rows; j++, at++) {
      let product = 0;
      for (let k = 0, x = i * d, y = j * d; k < d; k++, x++, y++) product += first.data[x]! * second.data[y]!;
      values[at] = (gamma * product + coef0) ** degree;
    }
  return values;
}

/**
 * Squared maximum mean discrepancy of two sets of M samples under `polynomialKernel`, in float64.
 * `unbiased`: sums within a set leave out i = j and divide by M(M−1), the cross term divides by M² (torch-fidelity's
 * default, quirks: KID). `biased`: all divide by M². `u-statistic`: the cross term too leaves out i = j.
 *
 * @throws RangeError when the sets differ in size or features, or have fewer than two samples.
 */
export function polynomialMmd2(
  first: FeatureMatrix,
  second: FeatureMatrix,
  estimator: (typeof mmdEstimators)[number] = 'unbiased',
  kernel: PolynomialKernel = {},
): number {
  const [m, d] = [first.rows, first.columns];
  if (second.rows !== m || second.columns !== d)
    throw new RangeError(
      `polynomialMmd2: expected two sets of one shape, got [${m}, ${d}] and [${second.rows}, ${second.columns}]`,
    );
  if (m < 2) throw new RangeError(`polynomialMmd2: expected at least 2 samples in each set, got ${m}`);
  const sums = (a: FeatureMatrix, b: FeatureMatrix) => {
    const values = polynomialKernel(a, b, kernel);
    let [all, diagonal] = [0, 0];
    for (const value of values) all += value;
    for (let i = 0; i < m; i++) diagonal += values[i * m + i]!;
    return { all, unpaired: all - diagonal };
  };
  const [within1, within2, across] = [sums(first, first), sums(second, second), sums(first, second)];
  const [pairs, squares] = [m * (m - 1), m * m];
  if (estimator === 'biased') return (within1.all + within2.all - 2 * across.all) / squares;
  const within = (within1.unpaired + within2.unpaired) / pairs;
  return within - 2 * (estimator === 'unbiased' ? across.all / squares : across.unpaired / pairs);
}

/**
 * Kernel distance (KID when the features are Inception's; Bińkowski et al. 2018): `polynomialMmd2` over random subsets.
 *
 * @throws RangeError when a subset is larger than a set, or the sets have different numbers of features.
 */
export function kernelDistance(
  first: FeatureMatrix,
  second: FeatureMatrix,
  options: KernelDistanceOptions = {},
): KernelDistance {
  const smaller = Math.min(first.rows, second.rows);
  const { subsets = 100, subsetSize = Math.min(1000, smaller), seed = 2020, estimator, ...kernel } = options;
  const { rows = drawSubsets(first.rows, second.rows, subsets, subsetSize, seed) } = options;
  const each = rows.first.map((rows1, i) =>
    polynomialMmd2(select(first, rows1), select(second, rows.second[i] ?? []), estimator, kernel),
  );
  const mean = each.reduce((sum, value) => sum + value, 0) / each.length;
  const variance = each.reduce((sum, value) => sum + (value - mean) ** 2, 0) / each.length;
  return { mean, std: Math.sqrt(variance), each };
}

function drawSubsets(rows1: number, rows2: number, subsets: number, size: number, seed: number) {
  if (!(subsets >= 1)) throw new RangeError(`kernelDistance: expected at least 1 subset, got ${subsets}`);
  if (size > Math.min(rows1, rows2))
    throw new RangeError(
      `kernelDistance: subsets of ${size} need as many samples, got ${rows1} and ${rows2}; try a smaller subsetSize`,
    );
  const draw = (set: number, rows: number) =>
    Array.from({ length: subsets }, (_, i) => sampleWithoutReplacement(rows, size, new Philox(seed, set, i)));
  return { first: draw(0, rows1), second: draw(1, rows2) };
}

/** First `size` entries of a random order (Fisher–Yates). */
function sampleWithoutReplacement(count: number, size: number, random: Philox): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = 0; i < size; i++) {
    const other = i + random.int(count - i);
    [order[i], order[other]] = [order[other]!, order[i]!];
  }
  return order.slice(0, size);
}

function select({ data, columns }: FeatureMatrix, rows: readonly number[]): FeatureMatrix {
  const picked = new Float64Array(rows.length * columns);
  for (const [to, from] of rows.entries())
    picked.set(data.subarray(from * columns, (from + 1) * columns), to * columns);
  return { data: picked, rows: rows.length, columns };
}
