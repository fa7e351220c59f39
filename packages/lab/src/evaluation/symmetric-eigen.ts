/**
 * Eigenvalues and eigenvectors of a symmetric matrix a_nn (row-major), Float64: Householder reduction to tridiagonal
 * form, then implicit QL (Golub & Van Loan, §8.3). Column j of `vectors` belongs to `values[j]`; not sorted.
 * @throws Error when QL does not converge (not seen for finite input).
 */
export function symmetricEigen(a: Float64Array, n: number): { values: Float64Array; vectors: Float64Array } {
  const vectors = a.slice();
  const values = new Float64Array(n);
  const off = new Float64Array(n);
  tridiagonalize(vectors, values, off, n);
  implicitQl(vectors, values, off, n);
  return { values, vectors };
}

function tridiagonalize(z: Float64Array, d: Float64Array, e: Float64Array, n: number): void {
  for (let i = n - 1; i > 0; i--) {
    let [h, scale] = [0, 0];
    for (let k = 0; k < i; k++) scale += Math.abs(z[i * n + k]!);
    if (i === 1 || scale === 0) e[i] = z[i * n + i - 1]!;
    else {
      for (let k = 0; k < i; k++) {
        z[i * n + k]! /= scale;
        h += z[i * n + k]! ** 2;
      }
      const f = z[i * n + i - 1]!;
      const g = f >= 0 ? -Math.sqrt(h) : Math.sqrt(h);
      e[i] = scale * g;
      h -= f * g;
      z[i * n + i - 1] = f - g;
      let sum = 0;
      for (let j = 0; j < i; j++) {
        z[j * n + i] = z[i * n + j]! / h;
        let p = 0;
        for (let k = 0; k <= j; k++) p += z[j * n + k]! * z[i * n + k]!;
        for (let k = j + 1; k < i; k++) p += z[k * n + j]! * z[i * n + k]!;
        e[j] = p / h;
        sum += e[j]! * z[i * n + j]!;
      }
      const half = sum / (h + h);
      for (let j = 0; j < i; j++) {
        const fj = z[i * n + j]!;
        e[j]! -= half * fj;
        for (let k = 0; k <= j; k++) z[j * n + k]! -= fj * e[k]! + e[j]! * z[i * n + k]!;
      }
    }
    d[i] = h;
  }
  d[0] = 0;
  e[0] = 0;
  for (let i = 0; i < n; i++) {
    if (d[i] !== 0)
      for (let j = 0; j < i; j++) {
        let g = 0;
        for (let k = 0; k < i; k++) g += z[i * n + k]! * z[k * n + j]!;
        for (let k = 0; k < i; k++) z[k * n + j]! -= g * z[k * n + i]!;
      }
    d[i] = z[i * n + i]!;
    z[i * n + i] = 1;
    for (let j = 0; j < i; j++) {
      z[j * n + i] = 0;
      z[i * n + j] = 0;
    }
  }
}

function implicitQl(z: Float64Array, d: Float64Array, e: Float64Array, n: number): void {
  e.copyWithin(0, 1);
  e[n - 1] = 0;
  for (let l = 0; l < n; l++) {
    for (let iteration = 0; ; iteration++) {
      let m = l;
      for (; m < n - 1; m++) {
        const size = Math.abs(d[m]!) + Math.abs(d[m + 1]!);
        if (Math.abs(e[m]!) <= Number.EPSILON * size) break;
      }
      if (m === l) break;
      if (iteration === 60) throw new Error('symmetricEigen: QL did not converge in 60 sweeps');
      qlSweep(z, d, e, n, l, m);
    }
  }
}

function qlSweep(z: Float64Array, d: Float64Array, e: Float64Array, n: number, l: number, m: number): void {
  let g = (d[l + 1]! - d[l]!) / (2 * e[l]!);
  let r = Math.hypot(g, 1);
  g = d[m]! - d[l]! + e[l]! / (g + (g >= 0 ? r : -r));
  let [s, c, p] = [1, 1, 0];
  for (let i = m - 1; i >= l; i--) {
    const [f, b] = [s * e[i]!, c * e[i]!];
    r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      d[i + 1]! -= p;
      e[m] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1]! - p;
    r = (d[i]! - g) * s + 2 * c * b;
    p = s * r;
    d[i + 1] = g + p;
    g = c * r - b;
    for (let k = 0; k < n; k++) {
      const high = z[k * n + i + 1]!;
      const low = z[k * n + i]!;
      z[k * n + i + 1] = s * low + c * high;
      z[k * n + i] = c * low - s * high;
    }
  }
  d[l]! -= p;
  e[l] = g;
  e[m] = 0;
}
