import {
  add,
  concat,
  constant,
  cos,
  mul,
  type ParamScope,
  type Routing,
  reshape,
  sin,
  slice,
  type Tensor,
} from '@unif2ace/graph';
import type { BackboneConfig, Task } from './config.ts';
import { resampler } from './experts/resampler.ts';
import type { RoutingMode } from './experts/router.ts';
import { type SpanFeatures, sequenceMoe } from './experts/sequence-moe.ts';
import { tokenMoe } from './experts/token-moe.ts';
import { normLayer } from './linear.ts';
import { type KeyValue, type PhiInputs, phiAttention, phiMlp, phiRope } from './phi.ts';
import { replaceSpan } from './span.ts';

// B batch, L new positions, N image positions, D hidden, M feature tokens, F feature width

/** Features of the frozen encoders and the mask ratio; what a task's experts do not use may be left out. */
export interface EncoderFeatures {
  face_BMF?: Tensor;
  clip_BMF?: Tensor;
  /** Share of masked image tokens, [B] in 0..1. */
  maskRatio_B?: Tensor;
}

export interface UnifiedInputs extends PhiInputs {
  task: Task;
  /** Image codes among the new positions; null when there are none (a text token being decoded). */
  span: { start: number; length: number } | null;
  features: EncoderFeatures;
  mode?: RoutingMode;
  /** Weight of each new position in the balance terms [B·L]; 0 for padding. */
  rowWeights_T?: Tensor;
}

export interface LayerRouting {
  level: 'token' | 'sequence';
  layer: number;
  scores: Tensor;
  routing: Routing;
  balance: Tensor;
  /** Weight of each routed row [T]; none: all alike. */
  rowWeights_T?: Tensor;
}

export interface UnifiedOutputs {
  /** After the final LayerNorm. */
  hidden_BLD: Tensor;
  present: KeyValue[];
  routings: LayerRouting[];
}

/**
 * The UniF²ace backbone: Phi's attention, grouped token-level and grouped sequence-level experts (paper §2).
 * Names below `scope`: model.layers.N.{input_layernorm, self_attn, post_attention_layernorm, mlp or token_moe.TASK,
 * pre_sequence_layernorm, sequence_moe.TASK}, model.resamplers.KIND, model.final_layernorm.
 */
export function unifiedBackbone(
  scope: ParamScope,
  config: BackboneConfig,
  embeds_BLD: Tensor,
  inputs: UnifiedInputs,
): UnifiedOutputs {
  const { phi, sequenceMoe: sequenceConfig } = config;
  const model = scope.at('model');
  const rope = phiRope(phi, inputs.positions_L ?? null, embeds_BLD.dim(1));
  const present: KeyValue[] = [];
  const routings: LayerRouting[] = [];
  const sharedFeatures =
    sequenceConfig && inputs.span && config.resampler.shared
      ? spanFeatures(model.at('resamplers'), config, inputs, inputs.span.length)
      : null;
  let x_BLD = embeds_BLD;
  for (let layer = 0; layer < phi.layers; layer++) {
    const block = model.at('layers').at(layer);
    const norm = (name: string, x: Tensor) => normLayer(block.at(name), x, phi.layerNormEps);
    const normal_BLD = norm('input_layernorm', x_BLD);
    const past = inputs.past?.[layer];
    const attended = phiAttention(block.at('self_attn'), phi, normal_BLD, {
      mask: inputs.mask,
      rope,
      ...(past && { past }),
    });
    present.push(attended.present);
    if (config.block === 'parallel') {
      const fed_BLD = tokenLevel(block, config, normal_BLD, inputs, layer, routings);
      x_BLD = add(add(attended.y_BLD, fed_BLD), x_BLD);
    } else {
      x_BLD = add(x_BLD, attended.y_BLD);
      x_BLD = add(x_BLD, tokenLevel(block, config, norm('post_attention_layernorm', x_BLD), inputs, layer, routings));
    }
    if (!sequenceConfig || !inputs.span) continue;
    const { start, length } = inputs.span;
    const span_BND = slice(x_BLD, 1, start, start + length);
    const features = sharedFeatures ?? spanFeatures(block.at('resamplers'), config, inputs, length);
    const routed = sequenceMoe(
      block.at('sequence_moe').at(inputs.task),
      sequenceConfig,
      sequenceConfig[inputs.task],
      norm('pre_sequence_layernorm', span_BND),
      features,
      inputs.mode ?? 'sparse',
    );
    routings.push({
      level: 'sequence',
      layer,
      scores: routed.scores_BE,
      routing: routed.routing,
      balance: routed.balance,
    });
    x_BLD = replaceSpan(x_BLD, start, add(span_BND, routed.y_BND));
  }
  return { hidden_BLD: normLayer(model.at('final_layernorm'), x_BLD, phi.layerNormEps), present, routings };
}

function tokenLevel(
  block: ParamScope,
  config: BackboneConfig,
  x_BLD: Tensor,
  inputs: UnifiedInputs,
  layer: number,
  routings: LayerRouting[],
): Tensor {
  if (!config.tokenMoe) return phiMlp(block.at('mlp'), x_BLD, config.phi.intermediateSize);
  const routed = tokenMoe(block.at('token_moe').at(inputs.task), config.tokenMoe, x_BLD, {
    mode: inputs.mode ?? 'sparse',
    ...(inputs.rowWeights_T && { rowWeights_T: inputs.rowWeights_T }),
  });
  routings.push({
    level: 'token',
    layer,
    scores: routed.scores_TE,
    routing: routed.routing,
    balance: routed.balance,
    ...(inputs.rowWeights_T && { rowWeights_T: inputs.rowWeights_T }),
  });
  return routed.y_BLD;
}

/** S(feature) of every feature that the task's experts use, [B, N, D]. */
function spanFeatures(scope: ParamScope, config: BackboneConfig, inputs: UnifiedInputs, queries: number): SpanFeatures {
  const used = new Set(config.sequenceMoe?.[inputs.task]);
  const { face_BMF, clip_BMF, maskRatio_B } = inputs.features;
  const sources = {
    face: face_BMF,
    clip: clip_BMF,
    noise: maskRatio_B && noiseFeature(maskRatio_B, config.features.noise.width),
  };
  const result: SpanFeatures = {};
  for (const kind of ['face', 'clip', 'noise'] as const) {
    const source = sources[kind];
    if (used.has(kind) && source)
      result[kind] = resampler(scope.at(kind), config.resampler.sizes, source, queries, config.phi.hiddenSize);
  }
  return result;
}

/** Sinusoidal embedding of the mask ratio: [B] → [B, 1, width], frequencies from 1 to 1,000 in geometric steps. */
function noiseFeature(maskRatio_B: Tensor, width: number): Tensor {
  const half = width / 2;
  const frequency = Float32Array.from({ length: half }, (_, i) => 1000 ** (i / Math.max(1, half - 1)));
  const angle = mul(reshape(maskRatio_B, [maskRatio_B.dim(0), 1, 1]), constant(frequency, [1, 1, half]));
  return concat([sin(angle), cos(angle)], 2);
}
