import { stridesOf } from '../shape.ts';

/** A dense array of the naive backend: any dtype, values as Float64 (booleans 0 and 1). */
export interface NdArray {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export function ndarray(shape: readonly number[], data?: Float64Array): NdArray {
  const size = shape.reduce((a, b) => a * b, 1);
  if (data && data.length !== size)
    throw new Error(`ndarray: [${shape.join(', ')}] needs ${size} values, got ${data.length}`);
  return { shape, data: data ?? new Float64Array(size) };
}

/** Calls `visit` with the multi-index of every element in row-major order; the index array is reused. */
export function forEachIndex(shape: readonly number[], visit: (index: readonly number[], flat: number) => void): void {
  const size = shape.reduce((a, b) => a * b, 1);
  const index = new Array<number>(shape.length).fill(0);
  for (let flat = 0; flat < size; flat++) {
    visit(index, flat);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      if (index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
}

/** Reader of `x` as if broadcast to a result shape. */
export function broadcastReader(x: NdArray, rank: number): (index: readonly number[]) => number {
  const strides = stridesOf(x.shape);
  const lead = rank - x.shape.length;
  return (index) => {
    let offset = 0;
    for (let axis = 0; axis < x.shape.length; axis++)
      if (x.shape[axis] !== 1) offset += index[axis + lead]! * strides[axis]!;
    return x.data[offset]!;
  };
}

/** Flat offset of a multi-index. */
export function offsetOf(index: readonly number[], strides: readonly number[]): number {
  let offset = 0;
  for (let axis = 0; axis < index.length; axis++) offset += index[axis]! * strides[axis]!;
  return offset;
}
