import { stridesOf } from '../shape.ts';
import { forEachIndex, type NdArray, ndarray, offsetOf } from './array.ts';
import type { Attributes } from './kernels.ts';

type Inputs = readonly (NdArray | null)[];

function intsOf(attributes: Attributes, name: string, fallback: readonly number[]): readonly number[] {
  const attribute = attributes[name];
  return attribute?.kind === 'ints' ? attribute.value : fallback;
}

/** y[b,o,i,j] = bias[o] + Σ x[b,g+c,i·s+u−top,j·s+v−left]·w[o,c,u,v] with g the first channel of o's group. */
export function conv([x, w, bias]: Inputs, attributes: Attributes): NdArray[] {
  const [strideH, strideW] = intsOf(attributes, 'strides', [1, 1]) as [number, number];
  const [top, left, bottom, right] = intsOf(attributes, 'pads', [0, 0, 0, 0]) as [number, number, number, number];
  const [batch, channels, height, width] = x!.shape as [number, number, number, number];
  const [outputs, groupChannels, kernelH, kernelW] = w!.shape as [number, number, number, number];
  const groupOutputs = (outputs * groupChannels) / channels;
  const outH = Math.floor((height + top + bottom - kernelH) / strideH) + 1;
  const outW = Math.floor((width + left + right - kernelW) / strideW) + 1;
  const y = ndarray([batch, outputs, outH, outW]);
  const [sx, sw] = [stridesOf(x!.shape), stridesOf(w!.shape)];
  forEachIndex(y.shape, ([b, o, i, j], flat) => {
    let sum = bias?.data[o!] ?? 0;
    const first = Math.floor(o! / groupOutputs) * groupChannels;
    for (let c = 0; c < groupChannels; c++)
      for (let u = 0; u < kernelH; u++)
        for (let v = 0; v < kernelW; v++) {
          const [row, column] = [i! * strideH + u - top, j! * strideW + v - left];
          if (row < 0 || row >= height || column < 0 || column >= width) continue;
          sum += x!.data[offsetOf([b!, first + c, row, column], sx)]! * w!.data[offsetOf([o!, c, u, v], sw)]!;
        }
    y.data[flat] = sum;
  });
  return [y];
}

/** Transpose of `conv` as a linear map of its input; w is [in, out, kh, kw]. */
export function convTranspose([x, w]: Inputs, attributes: Attributes): NdArray[] {
  const [strideH, strideW] = intsOf(attributes, 'strides', [1, 1]) as [number, number];
  const [top, left, bottom, right] = intsOf(attributes, 'pads', [0, 0, 0, 0]) as [number, number, number, number];
  const [extraH, extraW] = intsOf(attributes, 'output_padding', [0, 0]) as [number, number];
  const [batch, , height, width] = x!.shape as [number, number, number, number];
  const [, outputs, kernelH, kernelW] = w!.shape as [number, number, number, number];
  const y = ndarray([
    batch,
    outputs,
    (height - 1) * strideH + kernelH - top - bottom + extraH,
    (width - 1) * strideW + kernelW - left - right + extraW,
  ]);
  const [sy, sw] = [stridesOf(y.shape), stridesOf(w!.shape)];
  forEachIndex(x!.shape, ([b, c, i, j], flat) => {
    for (let o = 0; o < outputs; o++)
      for (let u = 0; u < kernelH; u++)
        for (let v = 0; v < kernelW; v++) {
          const [row, column] = [i! * strideH + u - top, j! * strideW + v - left];
          if (row < 0 || row >= y.shape[2]! || column < 0 || column >= y.shape[3]!) continue;
          y.data[offsetOf([b!, o, row, column], sy)]! += x!.data[flat]! * w!.data[offsetOf([c!, o, u, v], sw)]!;
        }
  });
  return [y];
}

export function averagePool([x]: Inputs, attributes: Attributes): NdArray[] {
  const [window] = intsOf(attributes, 'kernel_shape', [1, 1]) as [number, number];
  const [batch, channels, height, width] = x!.shape as [number, number, number, number];
  const y = ndarray([batch, channels, height / window, width / window]);
  const strides = stridesOf(y.shape);
  forEachIndex(x!.shape, ([b, c, i, j], flat) => {
    const at = offsetOf([b!, c!, Math.floor(i! / window), Math.floor(j! / window)], strides);
    y.data[at]! += x!.data[flat]! / window ** 2;
  });
  return [y];
}

export function maxPool([x]: Inputs, attributes: Attributes): NdArray[] {
  const [window] = intsOf(attributes, 'kernel_shape', [1, 1]) as [number, number];
  const [stride] = intsOf(attributes, 'strides', [1, 1]) as [number, number];
  const [top, left, bottom, right] = intsOf(attributes, 'pads', [0, 0, 0, 0]) as [number, number, number, number];
  const [batch, channels, height, width] = x!.shape as [number, number, number, number];
  const outH = Math.floor((height + top + bottom - window) / stride) + 1;
  const outW = Math.floor((width + left + right - window) / stride) + 1;
  const y = ndarray([batch, channels, outH, outW]);
  const strides = stridesOf(x!.shape);
  forEachIndex(y.shape, ([b, c, i, j], flat) => {
    let largest = Number.NEGATIVE_INFINITY;
    for (let u = 0; u < window; u++)
      for (let v = 0; v < window; v++) {
        const [row, column] = [i! * stride + u - top, j! * stride + v - left];
        if (row < 0 || row >= height || column < 0 || column >= width) continue;
        largest = Math.max(largest, x!.data[offsetOf([b!, c!, row, column], strides)]!);
      }
    y.data[flat] = largest;
  });
  return [y];
}

export function resizeNearest([x, , scales]: Inputs, _attributes: Attributes): NdArray[] {
  const factors = [...scales!.data];
  const y = ndarray(x!.shape.map((dim, i) => dim * factors[i]!));
  const strides = stridesOf(x!.shape);
  forEachIndex(y.shape, (index, flat) => {
    y.data[flat] =
      x!.data[
        offsetOf(
          index.map((at, i) => Math.floor(at / factors[i]!)),
          strides,
        )
      ]!;
  });
  return [y];
}
