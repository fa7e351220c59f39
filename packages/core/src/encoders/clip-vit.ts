import {
  add,
  attention,
  broadcastTo,
  concat,
  conv2d,
  linear,
  matmul,
  type ParamScope,
  quickGelu,
  reshape,
  slice,
  split,
  type Tensor,
  transpose,
} from '@unif2ace/graph';
import { z } from 'zod';
import { denseLayer, normLayer } from '../backbone/linear.ts';

// B batch, P patches, W width, H heads, d head width

/** CLIP's vision transformer; defaults are ViT-L/14 at 336 pixels. */
export const ClipVitConfig = z
  .strictObject({
    imageSize: z.int().positive().default(336),
    patchSize: z.int().positive().default(14),
    width: z.int().positive().default(1024),
    layers: z.int().positive().default(24),
    heads: z.int().positive().default(16),
    intermediate: z.int().positive().default(4096),
    projection: z.int().positive().default(768),
    layerNormEps: z.number().positive().default(1e-5),
  })
  .refine(({ imageSize, patchSize }) => imageSize % patchSize === 0, {
    error: 'patchSize must divide imageSize',
    path: ['patchSize'],
  })
  .refine(({ width, heads }) => width % heads === 0, { error: 'heads must divide width', path: ['heads'] });
export type ClipVitConfig = z.infer<typeof ClipVitConfig>;

export interface ClipVitOutputs {
  /** After ln_pre, then after each block: [B, 1 + P, W]. */
  hiddenStates: Tensor[];
  /** Patch tokens of the last but one block, what Show-o feeds: [B, P, W]. */
  penultimatePatches: Tensor;
  /** ln_post of the class token [B, W]. */
  pooled: Tensor;
  imageEmbeds: Tensor;
}

/**
 * Normalised pixels [B, 3, S, S] → features. Parameters under OpenAI's names (conv1, transformer.resblocks.N, …).
 * @throws Error when the pixels have another size than the configuration.
 */
export function clipVit(scope: ParamScope, config: ClipVitConfig, pixels_BCHW: Tensor): ClipVitOutputs {
  const { width, patchSize, imageSize, layerNormEps } = config;
  const batch = pixels_BCHW.dim(0);
  if (pixels_BCHW.shape.join() !== [batch, 3, imageSize, imageSize].join())
    throw new Error(
      `clipVit: expected pixels [B, 3, ${imageSize}, ${imageSize}], got [${pixels_BCHW.shape.join(', ')}]; resize the image or set imageSize`,
    );
  const patches = (imageSize / patchSize) ** 2;
  const normal = (std: number) => ({ kind: 'normal' as const, std });
  const kernel = scope.at('conv1').param('weight', [width, 3, patchSize, patchSize], normal(0.02));
  const patch_BPW = transpose(
    reshape(conv2d(pixels_BCHW, kernel, null, { stride: patchSize }), [batch, width, patches]),
    [0, 2, 1],
  );
  const cls = reshape(scope.param('class_embedding', [width], normal(width ** -0.5)), [1, 1, width]);
  const positions = scope.param('positional_embedding', [patches + 1, width], normal(width ** -0.5));
  let x = add(concat([broadcastTo(cls, [batch, 1, width]), patch_BPW], 1), positions);
  x = normLayer(scope.at('ln_pre'), x, layerNormEps);
  const hiddenStates = [x];
  for (let layer = 0; layer < config.layers; layer++) {
    x = residualBlock(scope.at('transformer').at('resblocks').at(layer), config, x);
    hiddenStates.push(x);
  }
  const pooled = normLayer(scope.at('ln_post'), reshape(slice(x, 1, 0, 1), [batch, width]), layerNormEps);
  return {
    hiddenStates,
    penultimatePatches: slice(hiddenStates.at(-2)!, 1, 1, patches + 1),
    pooled,
    imageEmbeds: matmul(pooled, scope.param('proj', [width, config.projection], normal(width ** -0.5))),
  };
}

function residualBlock(scope: ParamScope, config: ClipVitConfig, x_BLW: Tensor): Tensor {
  const { width, heads, layerNormEps } = config;
  const [batch, length] = [x_BLW.dim(0), x_BLW.dim(1)];
  const attn = scope.at('attn');
  const joined = linear(
    normLayer(scope.at('ln_1'), x_BLW, layerNormEps),
    attn.param('in_proj_weight', [3 * width, width], { kind: 'normal', std: 0.02 }),
    attn.param('in_proj_bias', [3 * width], { kind: 'zeros' }),
  );
  const [q, k, v] = split(joined, [width, width, width], 2).map((part) =>
    transpose(reshape(part, [batch, length, heads, width / heads]), [0, 2, 1, 3]),
  );
  const mixed = reshape(transpose(attention(q!, k!, v!, null), [0, 2, 1, 3]), [batch, length, width]);
  const h = add(x_BLW, denseLayer(attn.at('out_proj'), mixed, width));
  const mlp = scope.at('mlp');
  const inner = quickGelu(
    denseLayer(mlp.at('c_fc'), normLayer(scope.at('ln_2'), h, layerNormEps), config.intermediate),
  );
  return add(h, denseLayer(mlp.at('c_proj'), inner, width));
}

/**
 * Hugging Face names of a CLIP vision model to OpenAI's; q, k and v are joined to one matrix. The projection comes along,
 * transposed, where the checkpoint has one (CLIPVisionModel has none, then `imageEmbeds` cannot be computed).
 * @throws Error naming a tensor that is missing.
 */
export function fromTransformersNames(
  tensors: ReadonlyMap<string, Float32Array>,
  layers: number,
): Map<string, Float32Array> {
  const take = (name: string) => {
    const data = tensors.get(name);
    if (!data) throw new Error(`clip: the checkpoint has no tensor ${name}; expected a CLIPVisionModel`);
    return data;
  };
  const renamed = new Map<string, Float32Array>();
  const pair = (to: string, from: string) => {
    for (const part of ['weight', 'bias']) renamed.set(`${to}.${part}`, take(`${from}.${part}`));
  };
  renamed.set('conv1.weight', take('vision_model.embeddings.patch_embedding.weight'));
  renamed.set('class_embedding', take('vision_model.embeddings.class_embedding'));
  renamed.set('positional_embedding', take('vision_model.embeddings.position_embedding.weight'));
  pair('ln_pre', 'vision_model.pre_layrnorm');
  pair('ln_post', 'vision_model.post_layernorm');
  const projection = tensors.get('visual_projection.weight');
  if (projection) {
    const width = take('vision_model.embeddings.class_embedding').length;
    const outputs = projection.length / width;
    renamed.set(
      'proj',
      projection.map((_, i) => projection[(i % outputs) * width + Math.floor(i / outputs)]!),
    );
  }
  for (let layer = 0; layer < layers; layer++) {
    const [to, from] = [`transformer.resblocks.${layer}`, `vision_model.encoder.layers.${layer}`];
    pair(`${to}.ln_1`, `${from}.layer_norm1`);
    pair(`${to}.ln_2`, `${from}.layer_norm2`);
    pair(`${to}.mlp.c_fc`, `${from}.mlp.fc1`);
    pair(`${to}.mlp.c_proj`, `${from}.mlp.fc2`);
    pair(`${to}.attn.out_proj`, `${from}.self_attn.out_proj`);
    for (const part of ['weight', 'bias']) {
      const rows = ['q_proj', 'k_proj', 'v_proj'].map((name) => take(`${from}.self_attn.${name}.${part}`));
      const joined = new Float32Array(rows.reduce((n, row) => n + row.length, 0));
      let at = 0;
      for (const row of rows) {
        joined.set(row, at);
        at += row.length;
      }
      renamed.set(`${to}.attn.in_proj_${part}`, joined);
    }
  }
  return renamed;
}
