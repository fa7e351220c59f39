import { averagePool, linear, type ParamScope, reshape, swish, type Tensor, transpose } from '@unif2ace/graph';
import { z } from 'zod';
import { convLayer, downsample, groupNormLayer, resnetBlock } from '../tokenizer/magvit-blocks.ts';

// B batch, C channels, P patches, F embedding width

/**
 * A small face encoder of our own: one convolutional network gives an embedding of the whole face (the Face expert's
 * feature) and patch features (the CLIP expert's). It stands in for AntelopeV2 and CLIP where a model must be small.
 */
export const FaceCnnConfig = z.strictObject({
  imageSize: z.int().positive(),
  /** Channels of each level; every level halves the sides, the stem halves them once more. */
  channels: z.array(z.int().positive()).min(1),
  groups: z.int().positive().default(8),
  /** Width of the face embedding. */
  width: z.int().positive(),
  /** Mean over windows of this many patches a side. */
  patchPool: z.int().positive().default(1),
});
export type FaceCnnConfig = z.infer<typeof FaceCnnConfig>;

/** Patches a side. */
export function faceCnnGrid(config: FaceCnnConfig): number {
  return config.imageSize / 2 ** config.channels.length / config.patchPool;
}

/** Pixels [B, 3, S, S] in −1..1 → embedding [B, F], patches [B, P, C] and the features after each level [B, Cₗ, Hₗ, Wₗ]. */
export function faceCnn(
  scope: ParamScope,
  config: FaceCnnConfig,
  pixels_BCHW: Tensor,
): { face_BF: Tensor; patches_BPC: Tensor; levels: Tensor[] } {
  const norm = { groups: config.groups, epsilon: 1e-6 };
  const batch = pixels_BCHW.dim(0);
  let x = convLayer(scope.at('stem'), pixels_BCHW, config.channels[0]!, 3, { stride: 2, padding: [0, 0, 1, 1] });
  const levels: Tensor[] = [];
  config.channels.forEach((channels, level) => {
    const stage = scope.at('stages').at(level);
    if (level > 0) x = downsample(stage.at('downsample'), x);
    x = resnetBlock(stage.at('block'), x, channels, norm);
    levels.push(x);
  });
  x = swish(groupNormLayer(scope.at('norm_out'), x, norm));
  const channels = x.dim(1);
  const patches = config.patchPool > 1 ? averagePool(x, config.patchPool) : x;
  const count = patches.dim(2) * patches.dim(3);
  // aligned faces: where a patch is says what it shows, so the embedding reads all patches, not their mean
  const init = { kind: 'fanInUniform' as const, fanIn: channels * count };
  const head = scope.at('embed');
  const face_BF = linear(
    reshape(patches, [batch, channels * count]),
    head.param('weight', [config.width, channels * count], init),
    head.param('bias', [config.width], init),
  );
  const patches_BPC = transpose(reshape(patches, [batch, channels, count]), [0, 2, 1]);
  return { face_BF, patches_BPC, levels };
}
