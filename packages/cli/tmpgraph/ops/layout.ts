import {
  broadcastShapes,
  type Dim,
  formatShape,
  normalizeAxis,
  type Shape,
  ShapeError,
  sameShape,
  sizeOf,
} from '../shape.ts';
import { apply, apply1, int64s, scalar, type Tensor } from '../tensor.ts';
import { reduceTo } from './reduce.ts';

/** Same elements under another shape; one dimension may be −1. At most one run-time dimension, and only if it is kept. */
export function reshape(x: Tensor, to: Shape): Tensor {
  const shape = inferReshape(x, to);
  if (sameShape(x.shape, shape)) return x;
  const target = int64s(shape.map((dim) => (typeof dim === 'number' ? dim : -1)));
  return apply1({
    op: 'Reshape',
    inputs: [x, target],
    shape,
    dtype: x.dtype,
    vjp: ([dy]) => [reshape(dy!, x.shape), null],
  });
}

function inferReshape(x: Tensor, to: Shape): Shape {
  const dynamic = to.filter((dim) => typeof dim === 'string');
  if (dynamic.length > 0) {
    const rest = (shape: Shape) =>
      shape.filter((dim): dim is number => typeof dim === 'number').reduce((a, b) => a * b, 1);
    if (dynamic.length > 1 || !x.shape.includes(dynamic[0]!) || rest(x.shape) !== rest(to))
      throw new ShapeError(`reshape: cannot turn ${formatShape(x.shape)} into ${formatShape(to)}`);
    return to;
  }
  const size = sizeOf(x.shape);
  const known = to.reduce<number>((product, dim) => (dim === -1 ? product : product * (dim as number)), 1);
  const shape = to.map((dim) => (dim === -1 ? size / known : dim));
  if (to.filter((dim) => dim === -1).length > 1 || sizeOf(shape) !== size || !shape.every(Number.isInteger))
    throw new ShapeError(`reshape: cannot turn ${formatShape(x.shape)} into ${formatShape(to)}`);
  return shape;
}

/** Axes in the order of `permutation`. */
export function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  if (permutation.length !== x.rank || !x.shape.every((_, axis) => permutation.includes(axis)))
    throw new ShapeError(
      `transpose: [${permutation.join(', ')}] is no permutation of the axes of ${formatShape(x.shape)}`,
    );
  const inverse = permutation.map((_, axis) => permutation.indexOf(axis));
  return apply1({
    op: 'Transpose',
    inputs: [x],
    shape: permutation.map((axis) => x.shape[axis]!),
    dtype: x.dtype,
    attributes: { perm: { kind: 'ints', value: permutation } },
    vjp: ([dy]) => [transpose(dy!, inverse)],
  });
}

/** Swaps the last two axes. */
export function swapLast(x: Tensor): Tensor {
  const axes = x.shape.map((_, axis) => axis);
  const [a, b] = [x.rank - 2, x.rank - 1];
  [axes[a], axes[b]] = [b, a];
  return transpose(x, axes);
}

/** Repeats size-1 axes up to `shape`. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  if (!sameShape(broadcastShapes(x.shape, shape, 'broadcastTo'), shape))
    throw new ShapeError(`broadcastTo: ${formatShape(x.shape)} does not broadcast to ${formatShape(shape)}`);
  return apply1({
    op: 'Expand',
    inputs: [x, int64s(shape.map((dim) => sizeOf([dim])))],
    shape,
    dtype: x.dtype,
    vjp: ([dy]) => [reduceTo(dy!, x.shape), null],
  });
}

/** Joins tensors along `axis`. With run-time pieces, `total` states the size they add up to. */
export function concat(parts: readonly Tensor[], axis: number, total?: number): Tensor {
  const first = parts[0];
  if (!first) throw new ShapeError('concat: expected at least one tensor');
  const at = normalizeAxis(axis, first.shape, 'concat');
  for (const part of parts)
    if (
      part.dtype !== first.dtype ||
      part.rank !== first.rank ||
      part.shape.some((dim, i) => i !== at && dim !== first.shape[i])
    )
      throw new ShapeError(`concat: ${part} does not fit ${first} outside axis ${at}`);
  if (parts.length === 1) return first;
  const sizes = parts.map((part) => part.shape[at]!);
  const size = sizes.every((dim) => typeof dim === 'number')
    ? sizeOf([sizes.reduce<number>((a, b) => a + (b as number), 0)])
    : total;
  if (size === undefined) throw new ShapeError('concat: pieces of run-time size need the total size');
  return apply1({
    op: 'Concat',
    inputs: parts,
    shape: first.shape.map((dim, i) => (i === at ? size : dim)),
    dtype: first.dtype,
    attributes: { axis: { kind: 'int', value: at } },
    vjp: ([dy]) => {
      if (!sizes.every((dim) => typeof dim === 'number'))
        throw new ShapeError('concat: no gradient for pieces of run-time size; try a hand-derived one (withGradient)');
      return split(dy!, sizes as number[], at);
    },
  });
}

/** Cuts `axis` into consecutive pieces of the given sizes. */
export function split(x: Tensor, sizes: readonly number[], axis: number): Tensor[] {
  const at = normalizeAxis(axis, x.shape, 'split');
  const total = sizes.reduce((a, b) => a + b, 0);
  if (total !== x.dim(at))
    throw new ShapeError(`split: sizes [${sizes.join(', ')}] do not add up to axis ${at} of ${x}`);
  if (sizes.length === 1) return [x];
  const pieces: Tensor[] = apply({
    op: 'Split',
    inputs: [x, int64s(sizes)],
    outputs: sizes.map((size) => ({ shape: x.shape.map((dim, i) => (i === at ? size : dim)), dtype: x.dtype })),
    attributes: { axis: { kind: 'int', value: at } },
    vjp: (dPieces) => [
      concat(
        dPieces.map((d, i) => d ?? zerosLike(pieces[i]!)),
        at,
      ),
      null,
    ],
  });
  return pieces;
}

function zerosLike(x: Tensor): Tensor {
  return broadcastTo(scalar(0), x.shape);
}

/** Cuts axis 0 of an index vector into pieces whose sizes (int64 tensor) are known at run time only. No gradient. */
export function splitDynamic(x: Tensor, sizes: Tensor, names: readonly Dim[]): Tensor[] {
  return apply({
    op: 'Split',
    inputs: [x, sizes],
    outputs: names.map((name) => ({ shape: [name, ...x.shape.slice(1)], dtype: x.dtype })),
    attributes: { axis: { kind: 'int', value: 0 } },
  });
}

/** Elements start, start+step, … below `end` of one axis. A negative step runs backwards over the whole axis. */
export function slice(x: Tensor, axis: number, start: number, end: number, step = 1): Tensor {
  const at = normalizeAxis(axis, x.shape, 'slice');
  const size = x.dim(at);
  if (start < 0 || start >= size || end > size || step === 0 || !Number.isInteger(step) || (step > 0 && end <= start))
    throw new ShapeError(`slice: ${start}:${end}:${step} out of range for axis ${at} of ${formatShape(x.shape)}`);
  if (start === 0 && end === size && step === 1) return x;
  const count = step > 0 ? Math.ceil((end - start) / step) : Math.floor(start / -step) + 1;
  const stop = step > 0 ? end : -size - 1;
  return apply1({
    op: 'Slice',
    inputs: [x, int64s([start]), int64s([stop]), int64s([at]), int64s([step])],
    shape: x.shape.map((dim, i) => (i === at ? count : dim)),
    dtype: x.dtype,
    vjp: ([dy]) => {
      if (step === -1 && count === size) return [slice(dy!, at, size - 1, -1, -1), null, null, null, null];
      if (step !== 1) throw new ShapeError('slice: a gradient exists for step 1 and for whole reversal only');
      const before = x.shape.map((_, i) => (i === at ? start : 0));
      const after = x.shape.map((_, i) => (i === at ? size - end : 0));
      return [pad(dy!, before, after), null, null, null, null];
    },
  });
}

/** Whole axis in reverse order. */
export function reverse(x: Tensor, axis: number): Tensor {
  const at = normalizeAxis(axis, x.shape, 'reverse');
  return x.dim(at) === 1 ? x : slice(x, at, x.dim(at) - 1, -1, -1);
}

/** Zero padding: `before[i]` and `after[i]` elements around axis i. */
export function pad(x: Tensor, before: readonly number[], after: readonly number[]): Tensor {
  if (before.length !== x.rank || after.length !== x.rank || [...before, ...after].some((n) => n < 0))
    throw new ShapeError(`pad: expected ${x.rank} non-negative sizes a side for ${formatShape(x.shape)}`);
  if ([...before, ...after].every((n) => n === 0)) return x;
  return apply1({
    op: 'Pad',
    inputs: [x, int64s([...before, ...after])],
    shape: x.shape.map((dim, i) => (before[i] === 0 && after[i] === 0 ? dim : before[i]! + x.dim(i) + after[i]!)),
    dtype: x.dtype,
    vjp: ([dy]) => {
      let d = dy!;
      x.shape.forEach((_, i) => {
        if (before[i] !== 0 || after[i] !== 0) d = slice(d, i, before[i]!, before[i]! + x.dim(i));
      });
      return [d, null];
    },
  });
}
