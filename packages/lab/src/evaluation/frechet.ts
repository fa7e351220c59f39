import { symmetricEigen } from './symmetric-eigen.ts';

/** Mean and covariance (divisor N − 1) of feature rows, Float64. */
export interface FeatureStatistics {
  width: number;
  mean: Float64Array;
  covariance: Float64Array;
}

/** @throws Error for fewer than two rows. */
export function featureStatistics(features_ND: ArrayLike<number>, width: number): FeatureStatistics {
  const rows = features_ND.length / width;
  if (!Number.isInteger(rows) || rows < 2) throw new Error(`featureStatistics: expected at least 2 rows of ${width}, got ${rows}`);
  const mean = new Float64Array(width);
  for (let n = 0; n < rows; n++) for (let i = 0; i < width; i++) mean[i]! += features_ND[n * width + i]! / rows;
  const covariance = new Float64Array(width * width);
  const centred = new Float64Array(width);
  for (let n = 0; n < rows; n++) {
    for (let i = 0; i < width; i++) centred[i] = features_ND[n * width + i]! - mean[i]!;
    for (let i = 0; i < width; i++) for (let j = 0; j <= i; j++) covariance[i * width + j]! += centred[i]! * centred[j]!;
  }
  for (let i = 0; i < width; i++)
    for (let j = 0; j <= i; j++) {
      const value = covariance[i * width + j]! / (rows - 1);
      covariance[i * width + j] = value;
      covariance[j * width + i] = value;
    }
  return { width, mean, covariance };
}

/** Symmetric square root; negative eigenvalues, which are rounding, count as 0. */
function squareRoot(a: Float64Array, n: number): Float64Array {
  const { values, vectors } = symmetricEigen(a, n);
  const roots = values.map((value) => Math.sqrt(Math.max(0, value)));
  return product(vectors.map((v, at) => v * roots[at % n]!), vectors, n, true);
}

function product(a: Float64Array, b: Float64Array, n: number, transposeB: boolean): Float64Array {
  const c = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += a[i * n + k]! * (transposeB ? b[j * n + k]! : b[k * n + j]!);
      c[i * n + j] = sum;
    }
  return c;
}

/**
 * Fréchet distance of two Gaussians: |μ₁−μ₂|² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½), the root by eigenvalues of Σ₁^½ Σ₂ Σ₁^½
 * (Heusel et al. 2017). Rounding can make equal sets slightly negative.
 */
export function frechetDistance(a: FeatureStatistics, b: FeatureStatistics): number {
  const n = a.width;
  if (b.width !== n) throw new Error(`frechetDistance: widths ${n} and ${b.width} differ`);
  const root = squareRoot(a.covariance, n);
  const inner = product(product(root, b.covariance, n, false), root, n, false);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      const even = (inner[i * n + j]! + inner[j * n + i]!) / 2;
      inner[i * n + j] = even;
      inner[j * n + i] = even;
    }
  const traceRoot = symmetricEigen(inner, n).values.reduce((sum, value) => sum + Math.sqrt(Math.max(0, value)), 0);
  let distance = -2 * traceRoot;
  for (let i = 0; i < n; i++) distance += (a.mean[i]! - b.mean[i]!) ** 2 + a.covariance[i * n + i]! + b.covariance[i * n + i]!;
  return distance;
}
