import { add, conv2d, matmul, maximum, type Padding, parameter, type Tensor } from '@unif2ace/graph';
import { FaceError } from './detector.ts';
import type { Weight } from './tfjs-weights.ts';

// B batch, C channels, H height, W width

/** The layers that both networks of the package are made of, on weights by name. */
export class SeparableLayers {
  readonly #weights: ReadonlyMap<string, Weight>;

  constructor(weights: ReadonlyMap<string, Weight>) {
    this.#weights = weights;
  }

  #param(name: string): Tensor {
    const weight = this.#weights.get(name);
    if (!weight) throw new FaceError('weights', `a tensor ${name}`, 'none', 'the files of one model');
    return parameter(name, weight.shape);
  }

  conv(name: string, x_BCHW: Tensor, options: { stride?: number; padding?: Padding } = {}): Tensor {
    return conv2d(x_BCHW, this.#param(`${name}/filters`), this.#param(`${name}/bias`), options);
  }

  /** Depthwise 3×3, then 1×1 with the bias. The sides stay, or halve with stride 2. */
  separable(name: string, x_BCHW: Tensor, stride: 1 | 2 = 1): Tensor {
    const depthwise = conv2d(x_BCHW, this.#param(`${name}/depthwise_filter`), null, {
      stride,
      padding: samePadding(stride),
      groups: x_BCHW.dim(1),
    });
    return conv2d(depthwise, this.#param(`${name}/pointwise_filter`), this.#param(`${name}/bias`));
  }

  linear(name: string, x_BC: Tensor): Tensor {
    return add(matmul(x_BC, this.#param(`${name}/weights`)), this.#param(`${name}/bias`));
  }

  values(): Map<string, Float32Array> {
    return new Map([...this.#weights].map(([name, { data }]) => [name, data]));
  }
}

/** Padding "same" of a 3×3 kernel over an even side: TensorFlow leaves the odd row to the end. */
export function samePadding(stride: 1 | 2): Padding {
  return stride === 1 ? [1, 1, 1, 1] : [0, 0, 1, 1];
}

export function relu(x: Tensor): Tensor {
  return maximum(x, 0);
}
