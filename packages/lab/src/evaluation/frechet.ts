import { symmetricEigen } from './symmetric-eigen.ts';

// N samples, D features

/** Features of N samples, row-major [N, D]. */
export interface FeatureMatrix {
  data: Float32Array | Float64Array;
  rows: number;
  columns: number;
}

export interface FeatureStatistics {
  /** [D] */
  mean: Float64Array;
  /** [D, D], divisor N − 1. */
  covariance: Float64Array;
}

/**
 * Mean and covariance of features, in float64. Covariance has the divisor N − 1, as `np.cov` has (quirks: FID).
 *
 * @throws RangeError for fewer than two samples, or when the data are not N·D numbers.
 */
export function featureStatistics({ data, rows, columns }: FeatureMatrix): FeatureStatistics {
  if (data.length !== rows * columns)
    throw new RangeError(
      `featureStatistics: expected ${rows}×${columns} = ${rows * columns} numbers, got ${data.length}`,
    );
  if (rows < 2) throw new RangeError(`featureStatistics: expected at least 2 samples, got ${rows}`);
  const mean = new Float64Array(columns);
  for (let n = 0; n < rows; n++) for (let d = 0; d < columns; d++) mean[d] = mean[d]! + data[n * columns + d]!;
  for (let d = 0; d < columns; d++) mean[d] = mean[d]! / rows;
  const covariance = new Float64Array(columns * columns);
  const centred = new Float64Array(columns);
  for (let n = 0; n < rows; n++) {
    for (let d = 0; d < columns; d++) centred[d] = data[n * columns + d]! - mean[d]!;
    for (let i = 0; i < columns; i++) {
      const ci = centred[i]!;
      for (let j = 0, at = i * columns; j <= i; j++, at++) covariance[at] = covariance[at]! + ci * centred[j]!;
    }
  }
  for (let i = 0; i < columns; i++)
    for (let j = 0; j <= i; j++) {
      const value = covariance[i * columns + j]! / (rows - 1);
      covariance[i * columns + j] = value;
      covariance[j * columns + i] = value;
    }
  return { mean, covariance };
}

/**
 * Fréchet distance of two Gaussians, |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2·√(Σ₁Σ₂)): FID when the features are Inception's
 * (Heusel et al. 2017). The trace of the root is the sum of the square roots of the eigenvalues of √Σ₁·Σ₂·√Σ₁, which is
 * symmetric, so singular covariances (fewer samples than features) need no offset. Rounding can make it slightly negative.
 *
 * @throws RangeError when the two have different numbers of features, or a value is not finite.
 */
export function frechetDistance(first: FeatureStatistics, second: FeatureStatistics): number {
  const d = first.mean.length;
  if (second.mean.length !== d)
    throw new RangeError(`frechetDistance: expected equal numbers of features, got ${d} and ${second.mean.length}`);
  let distance = 0;
  for (let i = 0; i < d; i++) {
    distance += (first.mean[i]! - second.mean[i]!) ** 2;
    distance += first.covariance[i * d + i]! + second.covariance[i * d + i]!;
  }
  return distance - 2 * traceOfRoot(first.covariance, second.covariance, d);
}

/** tr √(Σ₁Σ₂) of two positive semidefinite matrices [d, d]. */
function traceOfRoot(sigma1: Float64Array, sigma2: Float64Array, d: number): number {
  const { values, vectors } = symmetricEigen(sigma1, d, { vectors: true });
  // Σ₁ = VᵀΛV: with R = √Λ·V, Σ₁Σ₂ and R·Σ₂·Rᵀ share their nonzero eigenvalues
  const root = vectors;
  for (let i = 0; i < d; i++) {
    const factor = Math.sqrt(Math.max(0, values[i]!));
    for (let j = 0; j < d; j++) root[i * d + j] = root[i * d + j]! * factor;
  }
  // Σ₂ is symmetric: row·row products throughout
  const product = timesTransposed(timesTransposed(root, sigma2, d), root, d);
  const eigenvalues = symmetricEigen(product, d, { vectors: false }).values;
  return eigenvalues.reduce((sum, value) => sum + Math.sqrt(Math.max(0, value)), 0);
}

/** a·bᵀ of two matrices [d, d]. */
function timesTransposed(a: Float64Array, b: Float64Array, d: number): Float64Array {
  const out = new Float64Array(d * d);
  for (let i = 0; i < d; i++)
    for (let j = 0; j < d; j++) {
      let sum = 0;
      for (let k = 0, ai = i * d, bj = j * d; k < d; k++, ai++, bj++) sum += a[ai]! * b[bj]!;
      out[i * d + j] = sum;
    }
  return out;
}
