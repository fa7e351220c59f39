/** Polynomial kernel (γ·x·y + c)^d of the kernel Inception distance. */
export interface PolynomialKernel {
  degree: number;
  /** Default 1/width. */
  gamma?: number;
  coefficient: number;
}

/** How the within-set and cross sums are normalised. */
export type MmdEstimator = 'unbiased' | 'biased' | 'u-statistic';

/** Kernel matrix of rows a and b: [rows of a, rows of b]. */
export function kernelMatrix(a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[], kernel: PolynomialKernel): number[][] {
  const gamma = kernel.gamma ?? 1 / a[0]!.length;
  return a.map((x) =>
    b.map((y) => {
      let dot = 0;
      for (let i = 0; i < x.length; i++) dot += x[i]! * y[i]!;
      return (gamma * dot + kernel.coefficient) ** kernel.degree;
    }),
  );
}

function sumOf(matrix: readonly (readonly number[])[], withDiagonal: boolean): number {
  return matrix.reduce((sum, row, i) => sum + row.reduce((s, value, j) => (withDiagonal || i !== j ? s + value : s), 0), 0);
}

/** Squared maximum mean discrepancy of two equally large sets (Bińkowski et al. 2018; quirks: FID / KID). */
export function mmd2(a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[], kernel: PolynomialKernel, estimator: MmdEstimator = 'unbiased'): number {
  const m = a.length;
  if (b.length !== m || m < 2) throw new Error(`mmd2: expected two sets of equal size above 1, got ${m} and ${b.length}`);
  const biased = estimator === 'biased';
  const pairs = biased ? m * m : m * (m - 1);
  const within = sumOf(kernelMatrix(a, a, kernel), biased) + sumOf(kernelMatrix(b, b, kernel), biased);
  const cross = kernelMatrix(a, b, kernel);
  const crossMean = estimator === 'u-statistic' ? sumOf(cross, false) / (m * (m - 1)) : sumOf(cross, true) / (m * m);
  return within / pairs - 2 * crossMean;
}

/** Mean and population standard deviation over subsets. */
export function meanAndStd(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { mean, std: Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length) };
}
