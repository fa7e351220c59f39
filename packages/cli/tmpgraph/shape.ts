// A dimension is a number, or the name of a size known only at run time (rows routed to an expert).
export type Dim = number | string;
export type Shape = readonly Dim[];
export type DType = 'float32' | 'int64' | 'int32' | 'bool';

export class ShapeError extends Error {
  override name = 'ShapeError';
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** Number of elements. @throws ShapeError when a dimension is known only at run time. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const dim of shape) {
    if (typeof dim !== 'number')
      throw new ShapeError(
        `sizeOf: ${formatShape(shape)} has the run-time dimension ${dim}; expected static dimensions, try to reshape later`,
      );
    size *= dim;
  }
  return size;
}

/** NumPy broadcasting of two shapes. @throws ShapeError naming `what` when they do not fit. */
export function broadcastShapes(a: Shape, b: Shape, what: string): Dim[] {
  const rank = Math.max(a.length, b.length);
  const shape: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const da = a[a.length - rank + i] ?? 1;
    const db = b[b.length - rank + i] ?? 1;
    if (da !== db && da !== 1 && db !== 1)
      throw new ShapeError(
        `${what}: shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast (dimension ${da} against ${db})`,
      );
    shape.push(da === 1 ? db : da);
  }
  return shape;
}

/** Axis in 0..rank-1. @throws ShapeError when out of range ("softmax: axis 3 out of range for [2, 4]"). */
export function normalizeAxis(axis: number, shape: Shape, what: string): number {
  const normalized = axis < 0 ? axis + shape.length : axis;
  if (!Number.isInteger(axis) || normalized < 0 || normalized >= shape.length)
    throw new ShapeError(`${what}: axis ${axis} out of range for ${formatShape(shape)}`);
  return normalized;
}

/** Row-major strides in elements. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i]!;
  }
  return strides;
}
