// n order of the matrix; all matrices are row-major

export interface SymmetricEigen {
  /** Eigenvalues, ascending. */
  values: Float64Array;
  /** Unit eigenvectors as rows [n, n], in the order of the values; empty when they were not asked for. */
  vectors: Float64Array;
}

const maxSweeps = 60;

/**
 * Eigenvalues and eigenvectors of a real symmetric matrix [n, n] in float64: Householder reduction to tridiagonal form,
 * then implicit QL with Wilkinson shifts (Golub & Van Loan, Matrix Computations, §8.3). O(n³). Only the lower triangle
 * is read; `matrix` is not changed.
 *
 * @throws RangeError when the length is not n², an entry is not finite, or QL does not converge.
 */
export function symmetricEigen(matrix: Float64Array, n: number, options: { vectors: boolean }): SymmetricEigen {
  if (matrix.length !== n * n)
    throw new RangeError(`symmetricEigen: expected ${n}×${n} = ${n * n} entries, got ${matrix.length}`);
  if (!matrix.every(Number.isFinite))
    throw new RangeError('symmetricEigen: expected finite entries, got NaN or Infinity; try checking the features');
  const { diagonal, offDiagonal, basis } = tridiagonalize(matrix, n, options.vectors);
  implicitQl(diagonal, offDiagonal, basis, n);
  const order = Array.from(diagonal.keys()).sort((a, b) => diagonal[a]! - diagonal[b]!);
  const vectors = new Float64Array(basis.length);
  if (options.vectors)
    for (const [to, from] of order.entries()) vectors.set(basis.subarray(from * n, (from + 1) * n), to * n);
  return { values: Float64Array.from(order, (i) => diagonal[i]!), vectors };
}

interface Tridiagonal {
  diagonal: Float64Array;
  /** Entry k couples k and k+1; the last is 0. */
  offDiagonal: Float64Array;
  /** Qᵀ of A = Q·T·Qᵀ, or empty. */
  basis: Float64Array;
}

/** A = Q·T·Qᵀ by reflections H = I − β·u·uᵀ, each kept in the row it cleared. */
function tridiagonalize(matrix: Float64Array, n: number, wantBasis: boolean): Tridiagonal {
  const a = matrix.slice();
  for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) a[i * n + j] = a[j * n + i]!;
  const offDiagonal = new Float64Array(n);
  const betas = new Float64Array(n);
  const p = new Float64Array(n);
  for (let k = 0; k < n - 1; k++) {
    const u = a.subarray(k * n, (k + 1) * n);
    // in units of the largest entry: squares of tiny or huge ones leave the range of float64
    let scale = 0;
    for (let j = k + 1; j < n; j++) scale = Math.max(scale, Math.abs(u[j]!));
    let squares = 0;
    if (scale > 0) for (let j = k + 1; j < n; j++) squares += (u[j]! / scale) ** 2;
    const norm = Math.sqrt(squares);
    const first = scale > 0 ? u[k + 1]! / scale : 0;
    // already in form
    if (norm === Math.abs(first)) {
      offDiagonal[k] = u[k + 1]!;
      continue;
    }
    const target = first > 0 ? -norm : norm;
    offDiagonal[k] = target * scale;
    for (let j = k + 1; j < n; j++) u[j] = u[j]! / scale;
    u[k + 1] = first - target;
    const beta = 1 / (norm * (norm + Math.abs(first)));
    betas[k] = beta;
    let overlap = 0;
    for (let i = k + 1; i < n; i++) {
      let sum = 0;
      for (let j = k + 1, at = i * n + j; j < n; j++, at++) sum += a[at]! * u[j]!;
      p[i] = beta * sum;
      overlap += p[i]! * u[i]!;
    }
    const half = (beta / 2) * overlap;
    for (let i = k + 1; i < n; i++) p[i] = p[i]! - half * u[i]!;
    for (let i = k + 1; i < n; i++) {
      const [ui, pi] = [u[i]!, p[i]!];
      for (let j = k + 1, at = i * n + j; j < n; j++, at++) a[at] = a[at]! - ui * p[j]! - pi * u[j]!;
    }
  }
  const diagonal = Float64Array.from({ length: n }, (_, i) => a[i * n + i]!);
  return { diagonal, offDiagonal, basis: wantBasis ? transposedBasis(a, betas, n) : new Float64Array(0) };
}

/** Qᵀ = (H₀·H₁·…)ᵀ from the reflections in the rows of `reflections`. */
function transposedBasis(reflections: Float64Array, betas: Float64Array, n: number): Float64Array {
  const q = new Float64Array(n * n);
  for (let i = 0; i < n; i++) q[i * n + i] = 1;
  const row = new Float64Array(n);
  // last first: the leading part is still the identity
  for (let k = n - 2; k >= 0; k--) {
    const beta = betas[k]!;
    if (beta === 0) continue;
    const u = reflections.subarray(k * n, (k + 1) * n);
    row.fill(0);
    for (let i = k + 1; i < n; i++) {
      const ui = u[i]!;
      for (let j = k + 1, at = i * n + j; j < n; j++, at++) row[j] = row[j]! + ui * q[at]!;
    }
    for (let i = k + 1; i < n; i++) {
      const factor = beta * u[i]!;
      for (let j = k + 1, at = i * n + j; j < n; j++, at++) q[at] = q[at]! - factor * row[j]!;
    }
  }
  const transposed = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) transposed[j * n + i] = q[i * n + j]!;
  return transposed;
}

/** Turns the diagonal into eigenvalues and the rows of `basis` into eigenvectors, in place. */
function implicitQl(diagonal: Float64Array, offDiagonal: Float64Array, basis: Float64Array, n: number): void {
  for (let low = 0; low < n; low++) {
    for (let sweep = 0; ; sweep++) {
      const high = blockEnd(diagonal, offDiagonal, low, n);
      if (high === low) break;
      if (sweep === maxSweeps)
        throw new RangeError(`symmetricEigen: no convergence after ${maxSweeps} sweeps at eigenvalue ${low} of ${n}`);
      chaseBulge(diagonal, offDiagonal, basis, low, high, n);
    }
  }
}

/** Last index of the unreduced block that begins at `low`. */
function blockEnd(diagonal: Float64Array, offDiagonal: Float64Array, low: number, n: number): number {
  let end = low;
  while (end < n - 1) {
    const size = Math.abs(diagonal[end]!) + Math.abs(diagonal[end + 1]!);
    if (Math.abs(offDiagonal[end]!) <= Number.EPSILON * size) break;
    end++;
  }
  return end;
}

/** One implicit QL sweep over the block [low, high]. */
function chaseBulge(d: Float64Array, e: Float64Array, basis: Float64Array, low: number, high: number, n: number): void {
  // the eigenvalue of the leading 2×2 corner nearest to its first entry
  const ratio = (d[low + 1]! - d[low]!) / (2 * e[low]!);
  const root = Math.hypot(ratio, 1);
  let bulge = d[high]! - d[low]! + e[low]! / (ratio + (ratio >= 0 ? root : -root));
  let [sin, cos, shift] = [1, 1, 0];
  for (let i = high - 1; i >= low; i--) {
    const far = sin * e[i]!;
    const near = cos * e[i]!;
    const length = Math.hypot(far, bulge);
    e[i + 1] = length;
    if (length === 0) {
      // the block falls apart here
      d[i + 1] = d[i + 1]! - shift;
      e[high] = 0;
      return;
    }
    sin = far / length;
    cos = bulge / length;
    const moved = d[i + 1]! - shift;
    const mixed = (d[i]! - moved) * sin + 2 * cos * near;
    shift = sin * mixed;
    d[i + 1] = moved + shift;
    bulge = cos * mixed - near;
    if (basis.length > 0) rotateRows(basis, i * n, n, cos, sin);
  }
  d[low] = d[low]! - shift;
  e[low] = bulge;
  e[high] = 0;
}

/** Rotates the row at `at` and the one below it. */
function rotateRows(rows: Float64Array, at: number, n: number, cos: number, sin: number): void {
  for (let k = at; k < at + n; k++) {
    const [upper, lower] = [rows[k]!, rows[k + n]!];
    rows[k] = cos * upper - sin * lower;
    rows[k + n] = sin * upper + cos * lower;
  }
}
