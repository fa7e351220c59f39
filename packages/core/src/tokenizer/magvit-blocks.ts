import {
  add,
  attention,
  type ConvOptions,
  conv2d,
  groupNorm,
  type ParamScope,
  reshape,
  swish,
  type Tensor,
  transpose,
  upsampleNearest,
} from '@unif2ace/graph';

// B batch, C channels, H height, W width, P = H·W pixels

export interface NormSettings {
  groups: number;
  epsilon: number;
}

/** Square convolution with bias under `weight` and `bias`, started as PyTorch does. */
export function convLayer(
  scope: ParamScope,
  x_BCHW: Tensor,
  outputs: number,
  kernel: number,
  options: ConvOptions = {},
): Tensor {
  const inputs = x_BCHW.dim(1);
  const init = { kind: 'fanInUniform' as const, fanIn: inputs * kernel * kernel };
  return conv2d(
    x_BCHW,
    scope.param('weight', [outputs, inputs, kernel, kernel], init),
    scope.param('bias', [outputs], init),
    {
      padding: kernel === 3 ? 1 : 0,
      ...options,
    },
  );
}

/** Affine group normalisation under `weight` and `bias`. */
export function groupNormLayer(scope: ParamScope, x_BCHW: Tensor, { groups, epsilon }: NormSettings): Tensor {
  const channels = x_BCHW.dim(1);
  return groupNorm(
    x_BCHW,
    groups,
    scope.param('weight', [channels], { kind: 'ones' }),
    scope.param('bias', [channels], { kind: 'zeros' }),
    epsilon,
  );
}

/** norm, swish, conv, norm, swish, conv, plus the input (through a 1×1 nin_shortcut where channels differ). */
export function resnetBlock(scope: ParamScope, x_BCHW: Tensor, outputs: number, norm: NormSettings): Tensor {
  let h = convLayer(scope.at('conv1'), swish(groupNormLayer(scope.at('norm1'), x_BCHW, norm)), outputs, 3);
  h = convLayer(scope.at('conv2'), swish(groupNormLayer(scope.at('norm2'), h, norm)), outputs, 3);
  const shortcut = x_BCHW.dim(1) === outputs ? x_BCHW : convLayer(scope.at('nin_shortcut'), x_BCHW, outputs, 1);
  return add(shortcut, h);
}

/** One-head self-attention over pixels with 1×1 convolutions, scale C^−½. */
export function attnBlock(scope: ParamScope, x_BCHW: Tensor, norm: NormSettings): Tensor {
  const [batch, channels, height, width] = [0, 1, 2, 3].map((axis) => x_BCHW.dim(axis)) as [
    number,
    number,
    number,
    number,
  ];
  const normal = groupNormLayer(scope.at('norm'), x_BCHW, norm);
  const pixels = (name: string) =>
    transpose(reshape(convLayer(scope.at(name), normal, channels, 1), [batch, channels, height * width]), [0, 2, 1]);
  const mixed_BPC = attention(pixels('q'), pixels('k'), pixels('v'), null);
  const mixed_BCHW = reshape(transpose(mixed_BPC, [0, 2, 1]), x_BCHW.shape);
  return add(x_BCHW, convLayer(scope.at('proj_out'), mixed_BCHW, channels, 1));
}

/** Halves the sides: zero row below and column right, then 3×3 with stride 2. */
export function downsample(scope: ParamScope, x_BCHW: Tensor): Tensor {
  return convLayer(scope.at('conv'), x_BCHW, x_BCHW.dim(1), 3, { stride: 2, padding: [0, 0, 1, 1] });
}

/** Doubles the sides: nearest neighbour, then 3×3. */
export function upsample(scope: ParamScope, x_BCHW: Tensor): Tensor {
  return convLayer(scope.at('conv'), upsampleNearest(x_BCHW, 2), x_BCHW.dim(1), 3);
}
