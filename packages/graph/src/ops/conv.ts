import { formatShape, ShapeError } from '../shape.ts';
import { apply1, constant, type Tensor } from '../tensor.ts';
import { add, div, greater, mul, where } from './elementwise.ts';
import { concat, pad, reshape, reverse, slice, split, swapLast, transpose } from './layout.ts';
import { gemm, matmul } from './linalg.ts';
import { reduceSum } from './reduce.ts';

/** Zero rows and columns around the image: [top, left, bottom, right]. */
export type Padding = readonly [number, number, number, number];

export interface ConvOptions {
  stride?: number;
  /** One number for all sides, or [top, left, bottom, right]. Default 0. */
  padding?: number | Padding;
  /** Channels fall into this many groups that do not mix; as many as channels makes it depthwise. Default 1. */
  groups?: number;
}

/**
 * 2-D convolution (correlation) x_BCHW * weight_OIKK + bias_O → [B, O, H', W'], PyTorch's layout: I = C / groups.
 * @throws ShapeError when the channels fit neither weight nor groups, or the kernel is larger than the padded picture.
 */
export function conv2d(x: Tensor, weight: Tensor, bias_O: Tensor | null, options: ConvOptions = {}): Tensor {
  const stride = options.stride ?? 1;
  const groups = options.groups ?? 1;
  const padding: Padding =
    typeof options.padding === 'object'
      ? options.padding
      : [options.padding ?? 0, options.padding ?? 0, options.padding ?? 0, options.padding ?? 0];
  if (x.rank !== 4 || weight.rank !== 4 || x.dim(1) !== weight.dim(1) * groups || weight.dim(0) % groups !== 0)
    throw new ShapeError(
      `conv2d: ${formatShape(x.shape)} does not fit the weight ${formatShape(weight.shape)} (out, in / groups, kh, kw) in ${groups} groups`,
    );
  const [kernelH, kernelW] = [weight.dim(2), weight.dim(3)];
  const outH = Math.floor((x.dim(2) + padding[0] + padding[2] - kernelH) / stride) + 1;
  const outW = Math.floor((x.dim(3) + padding[1] + padding[3] - kernelW) / stride) + 1;
  if (outH < 1 || outW < 1)
    throw new ShapeError(`conv2d: kernel ${kernelH}×${kernelW} is larger than the padded ${formatShape(x.shape)}`);
  return apply1({
    op: 'Conv',
    inputs: bias_O ? [x, weight, bias_O] : [x, weight],
    shape: [x.shape[0]!, weight.shape[0]!, outH, outW],
    dtype: 'float32',
    attributes: {
      kernel_shape: { kind: 'ints', value: [kernelH, kernelW] },
      strides: { kind: 'ints', value: [stride, stride] },
      pads: { kind: 'ints', value: padding },
      ...(groups > 1 && { group: { kind: 'int', value: groups } }),
    },
    vjp: ([dy]) => {
      const parts = groupsOf(dy!, x, weight, groups);
      return [
        joined(
          parts.map((part) => inputGradient(part.dy, part.x, part.weight, stride, padding)),
          1,
        ),
        joined(
          parts.map((part) => weightGradient(part.dy, part.x, part.weight, stride, padding)),
          0,
        ),
        ...(bias_O ? [reduceSum(dy!, [0, 2, 3])] : []),
      ];
    },
  });
}

/** Each group's share: a grouped convolution is so many plain ones side by side. */
function groupsOf(dy: Tensor, x: Tensor, weight: Tensor, groups: number): { dy: Tensor; x: Tensor; weight: Tensor }[] {
  if (groups === 1) return [{ dy, x, weight }];
  const pieces = (tensor: Tensor, axis: number) =>
    split(tensor, new Array<number>(groups).fill(tensor.dim(axis) / groups), axis);
  const [dys, xs, weights] = [pieces(dy, 1), pieces(x, 1), pieces(weight, 0)];
  return dys.map((part, group) => ({ dy: part, x: xs[group]!, weight: weights[group]! }));
}

function joined(parts: readonly Tensor[], axis: number): Tensor {
  return parts.length === 1 ? parts[0]! : concat([...parts], axis);
}

function inputGradient(dy: Tensor, x: Tensor, weight: Tensor, stride: number, padding: Padding): Tensor {
  const [kernelH, kernelW] = [weight.dim(2), weight.dim(3)];
  const [top, left, bottom, right] = padding;
  if (stride === 1 && top < kernelH && left < kernelW && bottom < kernelH && right < kernelW) {
    // a plain Conv with flipped, axis-swapped weights is faster than ConvTranspose
    const flipped = transpose(reverse(reverse(weight, 2), 3), [1, 0, 2, 3]);
    return conv2d(dy, flipped, null, {
      padding: [kernelH - 1 - top, kernelW - 1 - left, kernelH - 1 - bottom, kernelW - 1 - right],
    });
  }
  // rows that the strided kernel never reached get zeros through output_padding
  const rest = (size: number, out: number, kernel: number, a: number, b: number) =>
    size + a + b - ((out - 1) * stride + kernel);
  return apply1({
    op: 'ConvTranspose',
    inputs: [dy, weight],
    shape: x.shape,
    dtype: 'float32',
    attributes: {
      kernel_shape: { kind: 'ints', value: [kernelH, kernelW] },
      strides: { kind: 'ints', value: [stride, stride] },
      pads: { kind: 'ints', value: padding },
      output_padding: {
        kind: 'ints',
        value: [rest(x.dim(2), dy.dim(2), kernelH, top, bottom), rest(x.dim(3), dy.dim(3), kernelW, left, right)],
      },
    },
  });
}

function weightGradient(dy: Tensor, x: Tensor, weight: Tensor, stride: number, padding: Padding): Tensor {
  return stride === 1
    ? weightGradientByShifts(dy, x, weight, padding)
    : weightGradientByWindows(dy, x, weight, stride, padding);
}

/**
 * dW for stride 1 on zero-framed images laid end to end, [C, B·H'·W']: one tap of the kernel is then the same line some
 * places further on, so that each tap costs one block copy and one matrix product over all images.
 */
function weightGradientByShifts(dy: Tensor, x: Tensor, weight: Tensor, [top, left, bottom, right]: Padding): Tensor {
  const [outputs, inputs, kernelH, kernelW] = [0, 1, 2, 3].map((axis) => weight.dim(axis)) as [
    number,
    number,
    number,
    number,
  ];
  const [batch, outH, outW] = [dy.dim(0), dy.dim(2), dy.dim(3)];
  // of equal frames one zero line serves as the end of a line and the start of the next
  const below = top === bottom && kernelH === 2 * top + 1 ? 0 : bottom;
  const after = left === right && kernelW === 2 * left + 1 ? 0 : right;
  const framed = pad(transpose(x, [1, 0, 2, 3]), [0, 0, top, left], [0, 0, below, after]);
  const [height, width] = [framed.dim(2), framed.dim(3)];
  const count = batch * height * width;
  const dy_OM = reshape(pad(transpose(dy, [1, 0, 2, 3]), [0, 0, 0, 0], [0, 0, height - outH, width - outW]), [
    outputs,
    count,
  ]);
  const lastShift = (kernelH - 1) * width + kernelW - 1;
  let x_CM = reshape(framed, [inputs, count]);
  if (lastShift > 0) x_CM = concat([x_CM, constant(new Float32Array(inputs * lastShift), [inputs, lastShift])], 1);
  const taps: Tensor[] = [];
  for (let i = 0; i < kernelH; i++)
    for (let j = 0; j < kernelW; j++) {
      const shift = i * width + j;
      // Split copies blocks, Slice element by element
      const pieces = split(x_CM, [shift, count, lastShift - shift], 1);
      taps.push(gemm(dy_OM, pieces[1] ?? x_CM, null, { transB: true }));
    }
  if (taps.length === 1) return reshape(taps[0]!, weight.shape);
  return reshape(
    concat(
      taps.map((tap) => reshape(tap, [outputs, inputs, 1])),
      2,
    ),
    weight.shape,
  );
}

/** dW for any stride, tap by tap: dy_BO(HW) · x_B(HW)C of the strided window, summed over the batch. */
function weightGradientByWindows(dy: Tensor, x: Tensor, weight: Tensor, stride: number, padding: Padding): Tensor {
  const [batch, outputs, outH, outW] = [0, 1, 2, 3].map((axis) => dy.dim(axis)) as [number, number, number, number];
  const inputs = x.dim(1);
  const [kernelH, kernelW] = [weight.dim(2), weight.dim(3)];
  const [top, left, bottom, right] = padding;
  const padded = pad(x, [0, 0, top, left], [0, 0, bottom, right]);
  const dy_BOP = reshape(dy, [batch, outputs, outH * outW]);
  const taps: Tensor[] = [];
  for (let i = 0; i < kernelH; i++) {
    const rows = slice(padded, 2, i, i + (outH - 1) * stride + 1, stride);
    for (let j = 0; j < kernelW; j++) {
      const window = slice(rows, 3, j, j + (outW - 1) * stride + 1, stride);
      const product_BOC = matmul(dy_BOP, swapLast(reshape(window, [batch, inputs, outH * outW])));
      taps.push(reshape(reduceSum(product_BOC, 0), [outputs, inputs, 1]));
    }
  }
  return reshape(concat(taps, 2), weight.shape);
}

/** Nearest-neighbour upsampling of x_BCHW by a whole factor. */
export function upsampleNearest(x: Tensor, factor: number): Tensor {
  if (x.rank !== 4 || !Number.isInteger(factor) || factor < 1)
    throw new ShapeError(`upsampleNearest: expected [B, C, H, W] and a whole factor, got ${x} and ${factor}`);
  const [batch, channels, height, width] = [0, 1, 2, 3].map((axis) => x.dim(axis)) as [number, number, number, number];
  return apply1({
    op: 'Resize',
    inputs: [x, null, constant(Float32Array.of(1, 1, factor, factor), [4])],
    shape: [batch, channels, height * factor, width * factor],
    dtype: 'float32',
    attributes: {
      mode: { kind: 'string', value: 'nearest' },
      coordinate_transformation_mode: { kind: 'string', value: 'asymmetric' },
      nearest_mode: { kind: 'string', value: 'floor' },
    },
    vjp: ([dy]) => {
      const blocks = reshape(dy!, [batch, channels, height, factor, width, factor]);
      return [reduceSum(blocks, [3, 5]), null, null];
    },
  });
}

/** Mean over non-overlapping windows of x_BCHW; the sides must be multiples of the window. */
export function averagePool(x: Tensor, window: number): Tensor {
  const [batch, channels, height, width] = [0, 1, 2, 3].map((axis) => x.dim(axis)) as [number, number, number, number];
  if (height % window !== 0 || width % window !== 0)
    throw new ShapeError(`averagePool: ${formatShape(x.shape)} does not divide into windows of ${window}`);
  return apply1({
    op: 'AveragePool',
    inputs: [x],
    shape: [batch, channels, height / window, width / window],
    dtype: 'float32',
    attributes: {
      kernel_shape: { kind: 'ints', value: [window, window] },
      strides: { kind: 'ints', value: [window, window] },
    },
    vjp: ([dy]) => [upsampleNearest(mul(dy!, 1 / window ** 2), window)],
  });
}

export interface MaxPoolOptions {
  /** Default: the window, so that windows do not overlap. */
  stride?: number;
  /** Border around the image that never wins: [top, left, bottom, right]. Default none. */
  padding?: Padding;
}

/**
 * Maximum over windows of x_BCHW. The gradient, for windows that do not overlap, is shared by equal maxima.
 * @throws ShapeError when the windows leave the image, or on differentiating overlapping or padded windows.
 */
export function maxPool(x: Tensor, window: number, options: MaxPoolOptions = {}): Tensor {
  const { stride = window, padding = [0, 0, 0, 0] } = options;
  const [batch, channels, height, width] = [0, 1, 2, 3].map((axis) => x.dim(axis)) as [number, number, number, number];
  const outH = Math.floor((height + padding[0] + padding[2] - window) / stride) + 1;
  const outW = Math.floor((width + padding[1] + padding[3] - window) / stride) + 1;
  if (outH < 1 || outW < 1)
    throw new ShapeError(`maxPool: a window of ${window} is larger than the padded ${formatShape(x.shape)}`);
  const y: Tensor = apply1({
    op: 'MaxPool',
    inputs: [x],
    shape: [batch, channels, outH, outW],
    dtype: 'float32',
    attributes: {
      kernel_shape: { kind: 'ints', value: [window, window] },
      strides: { kind: 'ints', value: [stride, stride] },
      pads: { kind: 'ints', value: padding },
    },
    vjp: ([dy]) => {
      if (stride !== window || outH * window !== height || outW * window !== width)
        throw new ShapeError(
          `maxPool: gradient: expected ${formatShape(x.shape)} in whole windows of ${window} that do not overlap, got stride ${stride}; try averagePool`,
        );
      const wins = where(greater(upsampleNearest(y, window), x), mul(x, 0), add(mul(x, 0), 1));
      const winners = mul(averagePool(wins, window), window ** 2);
      return [mul(wins, upsampleNearest(div(dy!, winners), window))];
    },
  });
  return y;
}
