import { PhiConfig } from '@unif2ace/core';

/** Phi's settings as the fixtures give them: under Hugging Face's names, or under short ones. */
export type PhiJson = Readonly<Record<string, number | boolean | string>>;

/** Our configuration of a fixture's Phi; `vocabSize` where the fixture states it elsewhere. */
export function phiConfigOf(phi: PhiJson, vocabSize = phi.vocab_size): PhiConfig {
  return PhiConfig.parse({
    vocabSize,
    hiddenSize: phi.hidden_size ?? phi.hidden,
    intermediateSize: phi.intermediate_size ?? phi.intermediate,
    layers: phi.num_hidden_layers ?? phi.layers,
    heads: phi.num_attention_heads ?? phi.heads,
    partialRotaryFactor: phi.partial_rotary_factor,
    ropeTheta: phi.rope_theta,
    layerNormEps: phi.layer_norm_eps,
    qkLayerNorm: phi.qk_layernorm,
  });
}
