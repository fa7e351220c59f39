import type { OnnxAttribute } from '../onnx/model.ts';
import { broadcastShapes, stridesOf } from '../shape.ts';
import { broadcastReader, forEachIndex, type NdArray, ndarray, offsetOf } from './array.ts';
import { averagePool, conv, convTranspose, maxPool, resizeNearest } from './kernels-image.ts';

// Textbook loops, one per ONNX operator, in Float64: the oracle of the tests. Clarity over speed.

export type Attributes = Readonly<Record<string, OnnxAttribute>>;
type Kernel = (inputs: readonly (NdArray | null)[], attributes: Attributes, outputCount: number) => NdArray[];

function intOf(attributes: Attributes, name: string, fallback: number): number {
  const attribute = attributes[name];
  return attribute?.kind === 'int' ? attribute.value : fallback;
}

function floatOf(attributes: Attributes, name: string, fallback: number): number {
  const attribute = attributes[name];
  return attribute?.kind === 'float' ? attribute.value : fallback;
}

function stringOf(attributes: Attributes, name: string): string {
  const attribute = attributes[name];
  return attribute?.kind === 'string' ? attribute.value : '';
}

/** Error function to about 1e-15: series below 3, continued fraction above. */
function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 3) {
    let [term, sum] = [a, a];
    for (let n = 1; n < 200 && Math.abs(term) > 1e-18 * sum; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / ((a + fraction) * Math.sqrt(Math.PI)));
}

function map(f: (x: number) => number): Kernel {
  return ([x]) => [ndarray(x!.shape, x!.data.map(f))];
}

function zip(f: (a: number, b: number) => number): Kernel {
  return ([a, b]) => {
    const shape = broadcastShapes(a!.shape, b!.shape, 'naive') as number[];
    const [readA, readB] = [broadcastReader(a!, shape.length), broadcastReader(b!, shape.length)];
    const y = ndarray(shape);
    forEachIndex(shape, (index, flat) => {
      y.data[flat] = f(readA(index), readB(index));
    });
    return [y];
  };
}

function axisOf(attributes: Attributes, rank: number, fallback = -1): number {
  const axis = intOf(attributes, 'axis', fallback);
  return axis < 0 ? axis + rank : axis;
}

/** Runs `visit` on every line along `axis`: base offset and stride of its elements. */
function forEachLine(
  shape: readonly number[],
  axis: number,
  visit: (base: number, stride: number, count: number) => void,
): void {
  const stride = stridesOf(shape)[axis]!;
  const count = shape[axis]!;
  const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  for (let o = 0; o < outer; o++) for (let i = 0; i < stride; i++) visit(o * stride * count + i, stride, count);
}

function softmax(logarithm: boolean): Kernel {
  return ([x], attributes) => {
    const y = ndarray(x!.shape);
    forEachLine(x!.shape, axisOf(attributes, x!.shape.length), (base, stride, count) => {
      let max = Number.NEGATIVE_INFINITY;
      for (let i = 0; i < count; i++) max = Math.max(max, x!.data[base + i * stride]!);
      let sum = 0;
      for (let i = 0; i < count; i++) sum += Math.exp(x!.data[base + i * stride]! - max);
      for (let i = 0; i < count; i++) {
        const shifted = x!.data[base + i * stride]! - max;
        y.data[base + i * stride] = logarithm ? shifted - Math.log(sum) : Math.exp(shifted) / sum;
      }
    });
    return [y];
  };
}

function reduce(start: number, f: (a: number, b: number) => number, mean = false): Kernel {
  return ([x, axes], attributes) => {
    const list = [...axes!.data];
    const keep = x!.shape.map((dim, axis) => (list.includes(axis) ? 1 : dim));
    const y = ndarray(keep, new Float64Array(keep.reduce((a, b) => a * b, 1)).fill(start));
    const strides = stridesOf(keep);
    forEachIndex(x!.shape, (index, flat) => {
      let at = 0;
      for (let axis = 0; axis < index.length; axis++) if (keep[axis] !== 1) at += index[axis]! * strides[axis]!;
      y.data[at] = f(y.data[at]!, x!.data[flat]!);
    });
    if (mean) for (let i = 0; i < y.data.length; i++) y.data[i]! /= x!.data.length / y.data.length;
    const shape = intOf(attributes, 'keepdims', 1)
      ? keep
      : x!.shape.filter((_: number, axis: number) => !list.includes(axis));
    return [ndarray(shape, y.data)];
  };
}

const matmul: Kernel = ([a, b]) => {
  const batch = broadcastShapes(a!.shape.slice(0, -2), b!.shape.slice(0, -2), 'naive matmul') as number[];
  const [m, k, n] = [a!.shape.at(-2)!, a!.shape.at(-1)!, b!.shape.at(-1)!];
  const y = ndarray([...batch, m, n]);
  const blockOf = (x: NdArray) => {
    const blocks = ndarray(x.shape.slice(0, -2));
    blocks.data.forEach((_, i) => {
      blocks.data[i] = i;
    });
    return broadcastReader(blocks, batch.length);
  };
  const [blockA, blockB] = [blockOf(a!), blockOf(b!)];
  forEachIndex(batch, (index, block) => {
    const [startA, startB] = [blockA(index) * m * k, blockB(index) * k * n];
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let l = 0; l < k; l++) sum += a!.data[startA + i * k + l]! * b!.data[startB + l * n + j]!;
        y.data[(block * m + i) * n + j] = sum;
      }
  });
  return [y];
};

const transposeKernel: Kernel = ([x], attributes) => {
  const perm =
    attributes.perm?.kind === 'ints' ? attributes.perm.value : x!.shape.map((_, i) => x!.shape.length - 1 - i);
  const strides = stridesOf(x!.shape);
  const y = ndarray(perm.map((axis) => x!.shape[axis]!));
  forEachIndex(y.shape, (index, flat) => {
    let offset = 0;
    for (let i = 0; i < perm.length; i++) offset += index[i]! * strides[perm[i]!]!;
    y.data[flat] = x!.data[offset]!;
  });
  return [y];
};

const gemm: Kernel = ([a, b, c], attributes) => {
  const flip = (x: NdArray, name: string) =>
    intOf(attributes, name, 0) ? transposeKernel([x], { perm: { kind: 'ints', value: [1, 0] } }, 1)[0]! : x;
  const product = matmul([flip(a!, 'transA'), flip(b!, 'transB')], {}, 1)[0]!;
  return c ? zip((x, z) => x + z)([product, c], {}, 1) : [product];
};

const layerNormalization: Kernel = ([x, scale, bias], attributes) => {
  const width = x!.shape.at(-1)!;
  const rows = x!.data.length / width;
  const statistics = [...x!.shape.slice(0, -1), 1];
  const [y, mean, inverse] = [ndarray(x!.shape), ndarray(statistics), ndarray(statistics)];
  const epsilon = floatOf(attributes, 'epsilon', 1e-5);
  for (let r = 0; r < rows; r++) {
    const row = x!.data.subarray(r * width, (r + 1) * width);
    const mu = row.reduce((a, b) => a + b, 0) / width;
    const variance = row.reduce((a, b) => a + (b - mu) ** 2, 0) / width;
    mean.data[r] = mu;
    inverse.data[r] = 1 / Math.sqrt(variance + epsilon);
    for (let i = 0; i < width; i++)
      y.data[r * width + i] = (row[i]! - mu) * inverse.data[r]! * scale!.data[i]! + (bias?.data[i] ?? 0);
  }
  return [y, mean, inverse];
};

const concat: Kernel = (parts, attributes) => {
  const first = parts[0]!;
  const axis = axisOf(attributes, first.shape.length);
  const shape = first.shape.map((dim, i) => (i === axis ? parts.reduce((n, part) => n + part!.shape[axis]!, 0) : dim));
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const y = ndarray(shape);
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (const part of parts) {
      const length = part!.shape[axis]! * inner;
      y.data.set(part!.data.subarray(o * length, (o + 1) * length), at);
      at += length;
    }
  return [y];
};

function sliceAxis(x: NdArray, axis: number, positions: readonly number[]): NdArray {
  const strides = stridesOf(x.shape);
  const y = ndarray(x.shape.map((dim, i) => (i === axis ? positions.length : dim)));
  forEachIndex(y.shape, (index, flat) => {
    let offset = 0;
    for (let i = 0; i < index.length; i++) offset += (i === axis ? positions[index[i]!]! : index[i]!) * strides[i]!;
    y.data[flat] = x.data[offset]!;
  });
  return y;
}

const split: Kernel = ([x, sizes], attributes) => {
  const axis = axisOf(attributes, x!.shape.length, 0);
  let start = 0;
  return [...sizes!.data].map((size) => {
    const positions = Array.from({ length: size }, (_, i) => start + i);
    start += size;
    return sliceAxis(x!, axis, positions);
  });
};

const slice: Kernel = ([x, starts, ends, axes, steps]) => {
  const [start, end, axis, step] = [starts!.data[0]!, ends!.data[0]!, axes!.data[0]!, steps!.data[0]!];
  const size = x!.shape[axis]!;
  const stop = end < 0 ? end + size : Math.min(end, size);
  const positions: number[] = [];
  for (let i = start; step > 0 ? i < stop : i > stop; i += step) positions.push(i);
  return [sliceAxis(x!, axis, positions)];
};

const pad: Kernel = ([x, pads]) => {
  const rank = x!.shape.length;
  const y = ndarray(x!.shape.map((dim, i) => pads!.data[i]! + dim + pads!.data[i + rank]!));
  const strides = stridesOf(y.shape);
  forEachIndex(x!.shape, (index, flat) => {
    y.data[
      offsetOf(
        index.map((at, i) => at + pads!.data[i]!),
        strides,
      )
    ] = x!.data[flat]!;
  });
  return [y];
};

const gather: Kernel = ([x, indices]) => {
  const width = x!.shape.slice(1).reduce((a, b) => a * b, 1);
  const y = ndarray([...indices!.shape, ...x!.shape.slice(1)]);
  indices!.data.forEach((row, i) => {
    y.data.set(x!.data.subarray(row * width, (row + 1) * width), i * width);
  });
  return [y];
};

const gatherElements: Kernel = ([x, indices], attributes) => {
  const axis = axisOf(attributes, x!.shape.length, 0);
  const strides = stridesOf(x!.shape);
  const y = ndarray(indices!.shape);
  forEachIndex(y.shape, (index, flat) => {
    const at = indices!.data[flat]!;
    y.data[flat] =
      x!.data[
        offsetOf(
          index.map((v, i) => (i === axis ? at : v)),
          strides,
        )
      ]!;
  });
  return [y];
};

const scatterElements: Kernel = ([x, indices, updates], attributes) => {
  const axis = axisOf(attributes, x!.shape.length, 0);
  const strides = stridesOf(x!.shape);
  const y = ndarray(x!.shape, x!.data.slice());
  const add = stringOf(attributes, 'reduction') === 'add';
  forEachIndex(indices!.shape, (index, flat) => {
    const at = offsetOf(
      index.map((v, i) => (i === axis ? indices!.data[flat]! : v)),
      strides,
    );
    y.data[at] = add ? y.data[at]! + updates!.data[flat]! : updates!.data[flat]!;
  });
  return [y];
};

const topK: Kernel = ([x, k]) => {
  const width = x!.shape.at(-1)!;
  const count = k!.data[0]!;
  const shape = [...x!.shape.slice(0, -1), count];
  const [values, indices] = [ndarray(shape), ndarray(shape)];
  for (let r = 0; r < x!.data.length / width; r++) {
    const row = x!.data.subarray(r * width, (r + 1) * width);
    const order = Array.from(row.keys()).sort((a, b) => row[b]! - row[a]! || a - b);
    for (let i = 0; i < count; i++) {
      indices.data[r * count + i] = order[i]!;
      values.data[r * count + i] = row[order[i]!]!;
    }
  }
  return [values, indices];
};

const argMax: Kernel = ([x], attributes) => {
  const axis = axisOf(attributes, x!.shape.length, 0);
  const y = ndarray(x!.shape.map((dim, i) => (i === axis ? 1 : dim)));
  let line = 0;
  forEachLine(x!.shape, axis, (base, stride, count) => {
    let best = 0;
    for (let i = 1; i < count; i++) if (x!.data[base + i * stride]! > x!.data[base + best * stride]!) best = i;
    y.data[line++] = best;
  });
  return [y];
};

const cumSum: Kernel = ([x, axis]) => {
  const y = ndarray(x!.shape, x!.data.slice());
  forEachLine(x!.shape, axis!.data[0]!, (base, stride, count) => {
    for (let i = 1; i < count; i++) y.data[base + i * stride]! += y.data[base + (i - 1) * stride]!;
  });
  return [y];
};

const where: Kernel = ([condition, a, b]) => {
  const shape = broadcastShapes(
    condition!.shape,
    broadcastShapes(a!.shape, b!.shape, 'naive where'),
    'naive where',
  ) as number[];
  const [readC, readA, readB] = [condition!, a!, b!].map((x) => broadcastReader(x, shape.length));
  const y = ndarray(shape);
  forEachIndex(shape, (index, flat) => {
    y.data[flat] = readC!(index) ? readA!(index) : readB!(index);
  });
  return [y];
};

const expand: Kernel = ([x, to]) => {
  const shape = [...to!.data];
  const read = broadcastReader(x!, shape.length);
  const y = ndarray(shape);
  forEachIndex(shape, (index, flat) => {
    y.data[flat] = read(index);
  });
  return [y];
};

const reshape: Kernel = ([x, to]) => {
  const known = to!.data.reduce((a, b) => (b === -1 ? a : a * b), 1);
  return [
    ndarray(
      [...to!.data].map((dim) => (dim === -1 ? x!.data.length / known : dim)),
      x!.data,
    ),
  ];
};

const gelu: Kernel = ([x], attributes) =>
  stringOf(attributes, 'approximate') === 'tanh'
    ? map((v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))))([x!], {}, 1)
    : map((v) => 0.5 * v * (1 + erf(v * Math.SQRT1_2)))([x!], {}, 1);

const float32Code = 1;

export const kernels: Readonly<Record<string, Kernel>> = {
  Add: zip((a, b) => a + b),
  Sub: zip((a, b) => a - b),
  Mul: zip((a, b) => a * b),
  Max: zip(Math.max),
  Equal: zip((a, b) => Number(a === b)),
  Greater: zip((a, b) => Number(a > b)),
  GreaterOrEqual: zip((a, b) => Number(a >= b)),
  Sum: (parts) => [parts.map((part) => part!).reduce((a, b) => zip((x, z) => x + z)([a, b], {}, 1)[0]!)],
  Neg: map((x) => -x),
  Exp: map(Math.exp),
  Log: map(Math.log),
  Sqrt: map(Math.sqrt),
  Reciprocal: map((x) => 1 / x),
  Abs: map(Math.abs),
  Sign: map(Math.sign),
  Sin: map(Math.sin),
  Cos: map(Math.cos),
  Sigmoid: map((x) => 1 / (1 + Math.exp(-x))),
  Tanh: map(Math.tanh),
  Erf: map(erf),
  Gelu: gelu,
  Cast: ([x], attributes) => [
    ndarray(x!.shape, intOf(attributes, 'to', 1) === float32Code ? x!.data : x!.data.map(Math.trunc)),
  ],
  Identity: ([x]) => [x!],
  Softmax: softmax(false),
  LogSoftmax: softmax(true),
  ReduceSum: reduce(0, (a, b) => a + b),
  ReduceMean: reduce(0, (a, b) => a + b, true),
  ReduceMax: reduce(Number.NEGATIVE_INFINITY, Math.max),
  ArgMax: argMax,
  CumSum: cumSum,
  MatMul: matmul,
  Gemm: gemm,
  Transpose: transposeKernel,
  Reshape: reshape,
  Expand: expand,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Gather: gather,
  GatherElements: gatherElements,
  ScatterElements: scatterElements,
  TopK: topK,
  Where: where,
  LayerNormalization: layerNormalization,
  Conv: conv,
  ConvTranspose: convTranspose,
  AveragePool: averagePool,
  MaxPool: maxPool,
  Resize: resizeNearest,
};

/** Division needs the dtype: integers truncate. */
export function divide(integer: boolean): Kernel {
  return zip((a, b) => (integer ? Math.trunc(a / b) : a / b));
}
