import { broadcastShapes, formatShape, ShapeError } from '../shape.ts';
import { apply1, type Tensor } from '../tensor.ts';
import { reshape, swapLast } from './layout.ts';
import { reduceTo } from './reduce.ts';

/** Batched matrix product with broadcasting of the leading axes: [..., M, K] · [..., K, N] → [..., M, N]. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  if (a.rank < 2 || b.rank < 2 || a.shape[a.rank - 1] !== b.shape[b.rank - 2])
    throw new ShapeError(`matmul: inner dimensions of ${formatShape(a.shape)} and ${formatShape(b.shape)} differ`);
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2), 'matmul');
  return apply1({
    op: 'MatMul',
    inputs: [a, b],
    shape: [...batch, a.shape[a.rank - 2]!, b.shape[b.rank - 1]!],
    dtype: a.dtype,
    vjp: ([dy]) => [reduceTo(matmul(dy!, swapLast(b)), a.shape), reduceTo(matmul(swapLast(a), dy!), b.shape)],
  });
}

/**
 * A or Aᵀ times B or Bᵀ plus c, of matrices; `c` broadcasts to the result.
 * @throws ShapeError when the inner dimensions differ.
 */
export function gemm(
  a: Tensor,
  b: Tensor,
  c: Tensor | null,
  options: { transA?: boolean; transB?: boolean } = {},
): Tensor {
  const transA = options.transA ?? false;
  const transB = options.transB ?? false;
  const [m, k] = transA ? [a.shape[1], a.shape[0]] : [a.shape[0], a.shape[1]];
  const [k2, n] = transB ? [b.shape[1], b.shape[0]] : [b.shape[0], b.shape[1]];
  if (a.rank !== 2 || b.rank !== 2 || k !== k2)
    throw new ShapeError(`gemm: inner dimensions of ${formatShape(a.shape)} and ${formatShape(b.shape)} differ`);
  return apply1({
    op: 'Gemm',
    inputs: c ? [a, b, c] : [a, b],
    shape: [m!, n!],
    dtype: a.dtype,
    attributes: { transA: { kind: 'int', value: transA ? 1 : 0 }, transB: { kind: 'int', value: transB ? 1 : 0 } },
    vjp: ([dy]) => {
      const da = transA
        ? gemm(b, dy!, null, { transA: transB, transB: true })
        : gemm(dy!, b, null, { transB: !transB });
      const db = transB
        ? gemm(dy!, a, null, { transA: true, transB: transA })
        : gemm(a, dy!, null, { transA: !transA });
      return c ? [da, db, reduceTo(dy!, c.shape)] : [da, db];
    },
  });
}

/** Affine map x·Wᵀ + b over the last axis; weight_OI and bias_O in PyTorch's layout. */
export function linear(x: Tensor, weight_OI: Tensor, bias_O: Tensor | null = null): Tensor {
  const [outputs, inputs] = weight_OI.shape;
  if (weight_OI.rank !== 2 || x.shape[x.rank - 1] !== inputs)
    throw new ShapeError(
      `linear: ${formatShape(x.shape)} does not fit the weight ${formatShape(weight_OI.shape)} (out, in)`,
    );
  const rows = x.rank === 2 ? x.shape[0]! : x.shape.slice(0, -1).reduce<number>((n, _, axis) => n * x.dim(axis), 1);
  const y_NO = gemm(reshape(x, [rows, inputs!]), weight_OI, bias_O, { transB: true });
  return x.rank === 2 ? y_NO : reshape(y_NO, [...x.shape.slice(0, -1), outputs!]);
}
