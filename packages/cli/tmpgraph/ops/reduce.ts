import { type Dim, formatShape, normalizeAxis, type Shape, ShapeError, sameShape } from '../shape.ts';
import { apply1, int64s, type Tensor } from '../tensor.ts';
import { div, equal, mul, where } from './elementwise.ts';
import { broadcastTo, reshape } from './layout.ts';

function reducedShape(x: Tensor, axes: readonly number[], keepDims: boolean): Dim[] {
  const shape: Dim[] = [];
  x.shape.forEach((dim, axis) => {
    if (!axes.includes(axis)) shape.push(dim);
    else if (keepDims) shape.push(1);
  });
  return shape;
}

function normalizeAxes(x: Tensor, axes: number | readonly number[] | undefined, what: string): number[] {
  const list = axes === undefined ? x.shape.map((_, axis) => axis) : typeof axes === 'number' ? [axes] : axes;
  return [...new Set(list.map((axis) => normalizeAxis(axis, x.shape, what)))].sort((a, b) => a - b);
}

function reduce(op: 'ReduceSum' | 'ReduceMean' | 'ReduceMax', x: Tensor, axes: readonly number[], keepDims: boolean) {
  const keep = reducedShape(x, axes, true);
  const spread = (d: Tensor) => (keepDims ? d : reshape(d, keep));
  const y: Tensor = apply1({
    op,
    inputs: [x, int64s(axes)],
    shape: reducedShape(x, axes, keepDims),
    dtype: x.dtype,
    attributes: { keepdims: { kind: 'int', value: keepDims ? 1 : 0 } },
    vjp: ([dy]) => {
      if (op === 'ReduceMax') {
        const hits = where(equal(x, spread(y)), 1, 0);
        const share = div(spread(dy!), reduceSum(hits, axes, true));
        return [mul(hits, share), null];
      }
      const d = spread(dy!);
      if (op === 'ReduceSum') return [broadcastTo(d, x.shape), null];
      const count = axes.reduce((product, axis) => product * x.dim(axis), 1);
      return [broadcastTo(mul(d, 1 / count), x.shape), null];
    },
  });
  return y;
}

/** Sum over `axes` (all by default). */
export function reduceSum(x: Tensor, axes?: number | readonly number[], keepDims = false): Tensor {
  const list = normalizeAxes(x, axes, 'reduceSum');
  return list.length === 0 ? x : reduce('ReduceSum', x, list, keepDims);
}

/** Mean over `axes` (all by default). */
export function reduceMean(x: Tensor, axes?: number | readonly number[], keepDims = false): Tensor {
  const list = normalizeAxes(x, axes, 'reduceMean');
  return list.length === 0 ? x : reduce('ReduceMean', x, list, keepDims);
}

/** Maximum over `axes`; tied maxima share the gradient. */
export function reduceMax(x: Tensor, axes?: number | readonly number[], keepDims = false): Tensor {
  const list = normalizeAxes(x, axes, 'reduceMax');
  return list.length === 0 ? x : reduce('ReduceMax', x, list, keepDims);
}

/** Index of the first maximum along `axis`, int64, axis kept with size 1. No gradient. */
export function argMax(x: Tensor, axis: number): Tensor {
  const at = normalizeAxis(axis, x.shape, 'argMax');
  return apply1({
    op: 'ArgMax',
    inputs: [x],
    shape: reducedShape(x, [at], true),
    dtype: 'int64',
    attributes: { axis: { kind: 'int', value: at }, keepdims: { kind: 'int', value: 1 } },
  });
}

/** Running sum along `axis`. No gradient. */
export function cumSum(x: Tensor, axis: number): Tensor {
  const at = normalizeAxis(axis, x.shape, 'cumSum');
  return apply1({ op: 'CumSum', inputs: [x, int64s([at])], shape: x.shape, dtype: x.dtype });
}

/** Sums a gradient down to the shape its tensor had before broadcasting. */
export function reduceTo(d: Tensor, shape: Shape): Tensor {
  if (sameShape(d.shape, shape)) return d;
  const lead = d.rank - shape.length;
  if (lead < 0) throw new ShapeError(`reduceTo: ${d} has fewer axes than ${formatShape(shape)}`);
  const axes: number[] = [];
  d.shape.forEach((dim, axis) => {
    if (axis < lead || (shape[axis - lead] === 1 && dim !== 1)) axes.push(axis);
  });
  const summed = reduceSum(d, axes, true);
  return lead > 0 ? reshape(summed, shape) : summed;
}
