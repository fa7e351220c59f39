import { formatShape, normalizeAxis, type Shape, ShapeError, sameShape, sizeOf } from '../shape.ts';
import { apply, apply1, constant, scalar, type Tensor } from '../tensor.ts';
import { broadcastTo, reshape } from './layout.ts';

function requireIntegers(indices: Tensor, what: string): void {
  if (indices.dtype !== 'int64' && indices.dtype !== 'int32')
    throw new ShapeError(`${what}: expected int32 or int64 indices, got ${indices}`);
}

/** Rows of axis 0: x_V…, indices of any shape → [...indices, ...]. Repeated indices add their gradients. */
export function gather(x: Tensor, indices: Tensor): Tensor {
  requireIntegers(indices, 'gather');
  return apply1({
    op: 'Gather',
    inputs: [x, indices],
    shape: [...indices.shape, ...x.shape.slice(1)],
    dtype: x.dtype,
    attributes: { axis: { kind: 'int', value: 0 } },
    vjp: ([dy]) => {
      const rows = sizeOf(indices.shape);
      const width = sizeOf(x.shape.slice(1));
      const summed = scatterAddRows(reshape(dy!, [rows, width]), reshape(indices, [rows]), x.dim(0));
      return [reshape(summed, x.shape), null];
    },
  });
}

/**
 * Sum of rows into `count` slots: out[indices[n]] += rows_ND[n].
 * ScatterElements, since ScatterND with reduction loses updates of repeated indices on more than one thread.
 */
export function scatterAddRows(rows_ND: Tensor, indices_N: Tensor, count: number): Tensor {
  requireIntegers(indices_N, 'scatterAddRows');
  const [rows, width] = [rows_ND.dim(0), rows_ND.dim(1)];
  const indices_ND = broadcastTo(reshape(indices_N, [rows, 1]), [rows, width]);
  return scatterElements(broadcastTo(scalar(0), [count, width]), indices_ND, rows_ND, 0, 'add');
}

/** Elements at `indices` along `axis`; all other axes coincide. */
export function gatherElements(x: Tensor, indices: Tensor, axis: number): Tensor {
  const at = normalizeAxis(axis, x.shape, 'gatherElements');
  requireIntegers(indices, 'gatherElements');
  if (indices.rank !== x.rank) throw new ShapeError(`gatherElements: indices ${indices} need the rank of ${x}`);
  return apply1({
    op: 'GatherElements',
    inputs: [x, indices],
    shape: indices.shape,
    dtype: x.dtype,
    attributes: { axis: { kind: 'int', value: at } },
    vjp: ([dy]) => [scatterElements(broadcastTo(scalar(0), x.shape), indices, dy!, at, 'add'), null],
  });
}

/** Copy of `x` with `updates` written (or added) at `indices` along `axis`. Gradient for `add` only. */
export function scatterElements(
  x: Tensor,
  indices: Tensor,
  updates: Tensor,
  axis: number,
  reduction: 'none' | 'add',
): Tensor {
  const at = normalizeAxis(axis, x.shape, 'scatterElements');
  if (!sameShape(indices.shape, updates.shape))
    throw new ShapeError(
      `scatterElements: indices ${formatShape(indices.shape)} and updates ${formatShape(updates.shape)} differ`,
    );
  return apply1({
    op: 'ScatterElements',
    inputs: [x, indices, updates],
    shape: x.shape,
    dtype: x.dtype,
    attributes: { axis: { kind: 'int', value: at }, reduction: { kind: 'string', value: reduction } },
    vjp: ([dy]) => {
      if (reduction === 'none') throw new ShapeError("scatterElements: a gradient exists for reduction 'add' only");
      return [dy!, null, gatherElements(dy!, indices, at)];
    },
  });
}

/** The k largest along the last axis, largest first; of equal values the lower index comes first. */
export function topK(x: Tensor, k: number): { values: Tensor; indices: Tensor } {
  const size = x.dim(x.rank - 1);
  if (!Number.isInteger(k) || k < 1 || k > size)
    throw new ShapeError(`topK: k = ${k} out of range for ${formatShape(x.shape)}`);
  const shape = [...x.shape.slice(0, -1), k];
  const outputs: Tensor[] = apply({
    op: 'TopK',
    inputs: [x, constant(BigInt64Array.of(BigInt(k)), [1])],
    outputs: [
      { shape, dtype: x.dtype },
      { shape, dtype: 'int64' },
    ],
    attributes: {
      axis: { kind: 'int', value: x.rank - 1 },
      largest: { kind: 'int', value: 1 },
      sorted: { kind: 'int', value: 1 },
    },
    vjp: ([dValues]) => [
      dValues ? scatterElements(broadcastTo(scalar(0), x.shape), outputs[1]!, dValues, x.rank - 1, 'add') : null,
      null,
    ],
  });
  return { values: outputs[0]!, indices: outputs[1]! };
}

/** 0, 1, …, count − 1 in the given shape, int64. */
export function arange(count: number, shape: Shape = [count]): Tensor {
  return constant(
    BigInt64Array.from({ length: count }, (_, i) => BigInt(i)),
    shape.map((dim) => sizeOf([dim])),
  );
}
