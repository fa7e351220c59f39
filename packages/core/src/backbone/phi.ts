import {
  add,
  attentionWeights,
  concat,
  gather,
  geluTanh,
  matmul,
  type ParamScope,
  type RotaryTables,
  reshape,
  rotary,
  rotaryAt,
  rotaryTables,
  type Tensor,
  transpose,
} from '@unif2ace/graph';
import { z } from 'zod';
import { denseLayer, normLayer } from './linear.ts';

// B batch, L new positions, P kept positions, D hidden, H heads, d head width, V vocabulary

/** Phi-1.5 as Show-o has it. Defaults are the paper's base model. */
export const PhiConfig = z.strictObject({
  vocabSize: z.int().positive(),
  hiddenSize: z.int().positive().default(2048),
  intermediateSize: z.int().positive().default(8192),
  layers: z.int().positive().default(24),
  heads: z.int().positive().default(32),
  maxPositions: z.int().positive().default(2048),
  /** Share of each head's width that rotates. */
  partialRotaryFactor: z.number().gt(0).lte(1).default(0.5),
  ropeTheta: z.number().positive().default(10_000),
  layerNormEps: z.number().positive().default(1e-5),
  /** LayerNorm of queries and keys over the head width before the rotation (Show-o forces it on). */
  qkLayerNorm: z.boolean().default(true),
});
export type PhiConfig = z.infer<typeof PhiConfig>;

/** Keys (rotated) and values of one layer: [B, H, positions, d]. */
export interface KeyValue {
  k_BHSd: Tensor;
  v_BHSd: Tensor;
}

export interface AttentionContext {
  /** Additive, broadcasting to [B, H, L, P + L]; null lets every position see every other. */
  mask: Tensor | null;
  rope: RotaryTables;
  /** Keys and values of earlier positions, put before the new ones. */
  past?: KeyValue;
}

/** Rotary tables at the positions [L], or [B, L] of each row (0..L−1 when null and `length` positions long). */
export function phiRope(config: PhiConfig, positions_L: Tensor | null, length: number): RotaryTables {
  const width = config.hiddenSize / config.heads;
  const rotaryDims = Math.floor(config.partialRotaryFactor * width);
  const count = positions_L ? config.maxPositions : length;
  const tables = rotaryAt(rotaryTables(count, width, rotaryDims, config.ropeTheta), positions_L);
  if (positions_L?.rank !== 2) return tables;
  // the same for all heads
  const perRow = (table_BLd: Tensor) => reshape(table_BLd, [positions_L.dim(0), 1, length, width]);
  return { ...tables, cos_Pd: perRow(tables.cos_Pd), sin_Pd: perRow(tables.sin_Pd) };
}

/** Self-attention with QK-norm and partial rotary embedding; also returns the new keys and values and the attention weights. */
export function phiAttention(
  scope: ParamScope,
  config: PhiConfig,
  x_BLD: Tensor,
  context: AttentionContext,
): { y_BLD: Tensor; present: KeyValue; weights_BHLS: Tensor } {
  const [batch, length, hidden] = [x_BLD.dim(0), x_BLD.dim(1), config.hiddenSize];
  const width = hidden / config.heads;
  const heads = (name: string, norm: string | null) => {
    let x_BLHd = reshape(denseLayer(scope.at(name), x_BLD, hidden), [batch, length, config.heads, width]);
    if (norm && config.qkLayerNorm) x_BLHd = normLayer(scope.at(norm), x_BLHd, config.layerNormEps);
    return transpose(x_BLHd, [0, 2, 1, 3]);
  };
  const q_BHLd = rotary(heads('q_proj', 'q_layernorm'), context.rope);
  const present: KeyValue = {
    k_BHSd: rotary(heads('k_proj', 'k_layernorm'), context.rope),
    v_BHSd: heads('v_proj', null),
  };
  const k_BHSd = context.past ? concat([context.past.k_BHSd, present.k_BHSd], 2) : present.k_BHSd;
  const v_BHSd = context.past ? concat([context.past.v_BHSd, present.v_BHSd], 2) : present.v_BHSd;
  const weights_BHLS = attentionWeights(q_BHLd, k_BHSd, context.mask);
  const mixed_BLD = reshape(transpose(matmul(weights_BHLS, v_BHSd), [0, 2, 1, 3]), [batch, length, hidden]);
  return { y_BLD: denseLayer(scope.at('dense'), mixed_BLD, hidden), present, weights_BHLS };
}

/** Feed-forward of Phi: fc2(gelu_tanh(fc1 x)). */
export function phiMlp(scope: ParamScope, x: Tensor, intermediate: number): Tensor {
  const width = x.dim(x.rank - 1);
  return denseLayer(scope.at('fc2'), geluTanh(denseLayer(scope.at('fc1'), x, intermediate)), width);
}

export interface PhiInputs {
  mask: Tensor | null;
  /** Positions of the new tokens, int32 [L], or [B, L] where rows differ; null for 0..L−1. */
  positions_L?: Tensor | null;
  /** One entry per layer. */
  past?: readonly KeyValue[];
}

export interface PhiOutputs {
  /** Input of each layer, then the output of the final LayerNorm (as Hugging Face numbers them). */
  hiddenStates: Tensor[];
  present: KeyValue[];
  /** Attention probabilities of each layer, [B, H, L, P + L]. */
  attention: Tensor[];
}

/** Rows of the token embedding. */
export function phiEmbed(scope: ParamScope, config: PhiConfig, ids_BL: Tensor): Tensor {
  return gather(embeddingTable(scope, config), ids_BL);
}

function embeddingTable(scope: ParamScope, config: PhiConfig): Tensor {
  return scope
    .at('model')
    .at('embed_tokens')
    .param('weight', [config.vocabSize, config.hiddenSize], { kind: 'normal', std: 0.02 });
}

/** Weight and bias of the (untied) output head. */
export function phiHead(scope: ParamScope, config: PhiConfig): { weight_VD: Tensor; bias_V: Tensor } {
  const head = scope.at('lm_head');
  return {
    weight_VD: head.param('weight', [config.vocabSize, config.hiddenSize], { kind: 'normal', std: 0.02 }),
    bias_V: head.param('bias', [config.vocabSize], { kind: 'zeros' }),
  };
}

/**
 * Phi's decoder on embeddings: parallel blocks x + Attn(LN x) + MLP(LN x), final LayerNorm.
 * Names below `scope`: model.layers.N.{self_attn,mlp,input_layernorm}, model.final_layernorm (quirks: Phi).
 */
export function phi(scope: ParamScope, config: PhiConfig, embeds_BLD: Tensor, inputs: PhiInputs): PhiOutputs {
  const model = scope.at('model');
  const rope = phiRope(config, inputs.positions_L ?? null, embeds_BLD.dim(1));
  const hiddenStates = [embeds_BLD];
  const present: KeyValue[] = [];
  const attention: Tensor[] = [];
  let x_BLD = embeds_BLD;
  for (let layer = 0; layer < config.layers; layer++) {
    const block = model.at('layers').at(layer);
    const normal_BLD = normLayer(block.at('input_layernorm'), x_BLD, config.layerNormEps);
    const past = inputs.past?.[layer];
    const attended = phiAttention(block.at('self_attn'), config, normal_BLD, {
      mask: inputs.mask,
      rope,
      ...(past && { past }),
    });
    present.push(attended.present);
    attention.push(attended.weights_BHLS);
    const fed_BLD = phiMlp(block.at('mlp'), normal_BLD, config.intermediateSize);
    x_BLD = add(add(attended.y_BLD, fed_BLD), x_BLD);
    if (layer < config.layers - 1) hiddenStates.push(x_BLD);
  }
  hiddenStates.push(normLayer(model.at('final_layernorm'), x_BLD, config.layerNormEps));
  return { hiddenStates, present, attention };
}

/** Full-vocabulary logits of Phi for token ids: [B, L, V]. */
export function phiLogits(scope: ParamScope, config: PhiConfig, hidden_BLD: Tensor): Tensor {
  phiHead(scope, config);
  return denseLayer(scope.at('lm_head'), hidden_BLD, config.vocabSize);
}
