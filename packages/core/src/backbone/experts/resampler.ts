import {
  add,
  attention,
  broadcastTo,
  concat,
  geluErf,
  type ParamScope,
  reshape,
  type Tensor,
  transpose,
} from '@unif2ace/graph';
import { z } from 'zod';
import { denseLayer, normLayer } from '../linear.ts';

// B batch, M feature tokens, F feature width, Q learnt queries, R resampler width, H heads, d head width

/** Perceiver resampler from a frozen encoder's features to the image span (paper §2.3; sizes after InstantID's). */
export const ResamplerConfig = z.strictObject({
  width: z.int().positive().default(1280),
  depth: z.int().positive().default(4),
  heads: z.int().positive().default(20),
  headWidth: z.int().positive().default(64),
  feedForwardFactor: z.number().positive().default(4),
  /**
   * The queries also attend to each other (Flamingo, InstantID). Off, all attention goes to the features: one face
   * embedding among hundreds of queries is otherwise hardly heard, and learnt slowly.
   */
  selfAttend: z.boolean().default(true),
  /** Start of the queries; null is 1/√width (InstantID). Wider apart, positions differ from the first step on. */
  latentStd: z.number().positive().nullable().default(null),
});
export type ResamplerConfig = z.infer<typeof ResamplerConfig>;

const epsilon = 1e-5;

/** features_BMF → [B, queries, outputs]: learnt queries attend to the features and to themselves. */
export function resampler(
  scope: ParamScope,
  config: ResamplerConfig,
  features_BMF: Tensor,
  queries: number,
  outputs: number,
): Tensor {
  const { width } = config;
  const batch = features_BMF.dim(0);
  const latents = scope.param('latents', [1, queries, width], {
    kind: 'normal',
    std: config.latentStd ?? 1 / Math.sqrt(width),
  });
  const context_BMR = denseLayer(scope.at('proj_in'), features_BMF, width);
  let x_BQR = broadcastTo(latents, [batch, queries, width]);
  for (let layer = 0; layer < config.depth; layer++) {
    const block = scope.at('layers').at(layer);
    x_BQR = add(x_BQR, perceiverAttention(block.at(0), config, x_BQR, context_BMR));
    const ff = block.at(1);
    const inner = denseLayer(
      ff.at(1),
      normLayer(ff.at(0), x_BQR, epsilon),
      Math.round(width * config.feedForwardFactor),
      { bias: false },
    );
    x_BQR = add(x_BQR, denseLayer(ff.at(3), geluErf(inner), width, { bias: false }));
  }
  return normLayer(scope.at('norm_out'), denseLayer(scope.at('proj_out'), x_BQR, outputs), epsilon);
}

function perceiverAttention(scope: ParamScope, config: ResamplerConfig, x_BQR: Tensor, context_BMR: Tensor): Tensor {
  const inner = config.heads * config.headWidth;
  const latents = normLayer(scope.at('norm2'), x_BQR, epsilon);
  const context = normLayer(scope.at('norm1'), context_BMR, epsilon);
  const memory = config.selfAttend ? concat([context, latents], 1) : context;
  const heads = (name: string, x: Tensor) => {
    const projected = denseLayer(scope.at(name), x, inner, { bias: false });
    return transpose(reshape(projected, [x.dim(0), x.dim(1), config.heads, config.headWidth]), [0, 2, 1, 3]);
  };
  const mixed = attention(heads('to_q', latents), heads('to_k', memory), heads('to_v', memory), null);
  const joined = reshape(transpose(mixed, [0, 2, 1, 3]), [x_BQR.dim(0), x_BQR.dim(1), inner]);
  return denseLayer(scope.at('to_out'), joined, config.width, { bias: false });
}
