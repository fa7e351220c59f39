import {
  add,
  balanceLoss,
  gatesByExpert,
  mul,
  type ParamScope,
  type Routing,
  reduceMean,
  reshape,
  slice,
  softmax,
  sub,
  type Tensor,
} from '@unif2ace/graph';
import { z } from 'zod';
import { denseLayer } from '../linear.ts';
import { type RoutingMode, router } from './router.ts';

// B sequences, N image positions, D width, E experts, K chosen

export const SequenceExpert = z.enum(['clip', 'face', 'noise', 'copy', 'zero']);
export type SequenceExpert = z.infer<typeof SequenceExpert>;

/** Sequence-level mixture of experts over the image span (paper §2.3 and §2.4), one expert list per task group. */
export const SequenceMoeConfig = z.strictObject({
  t2i: z.array(SequenceExpert).min(1).default(['copy', 'zero', 'noise', 'copy']),
  mmu: z.array(SequenceExpert).min(1).default(['clip', 'face', 'copy', 'copy']),
  topK: z.int().positive().default(2),
  normalize: z.boolean().default(true),
  /** w of w·x + (1−w)·S(feature): two learnt numbers, or a softmax of W·x for each position. */
  mix: z.enum(['scalar', 'position']).default('scalar'),
});
export type SequenceMoeConfig = z.infer<typeof SequenceMoeConfig>;

/** Resampled features [B, N, D] by expert kind; only those that the task's experts use are asked for. */
export type SpanFeatures = Partial<Record<'clip' | 'face' | 'noise', Tensor>>;

export interface SequenceMoeOutput {
  y_BND: Tensor;
  balance: Tensor;
  scores_BE: Tensor;
  routing: Routing;
}

/**
 * y = Σ_k g_k·E_k(x) with g from softmax(W_r·mean over the span of x), top-K, renormalised;
 * E_copy(x) = x, E_zero(x) = 0, E_feature(x) = w·x + (1−w)·S(feature). The residual is added by the caller.
 * @throws Error naming an expert whose feature is missing.
 */
export function sequenceMoe(
  scope: ParamScope,
  config: SequenceMoeConfig,
  experts: readonly SequenceExpert[],
  x_BND: Tensor,
  features: SpanFeatures,
  mode: RoutingMode = 'sparse',
): SequenceMoeOutput {
  const batch = x_BND.dim(0);
  const k = Math.min(config.topK, experts.length);
  const routerConfig = {
    experts: experts.length,
    topK: k,
    order: 'softmaxFirst' as const,
    normalize: config.normalize,
    scale: 1,
    groups: null,
    gate: 'linear' as const,
    residual: false,
    logitsNormStd: null,
    discarded: null,
  };
  const { scores_TE: scores_BE, routing } = router(scope.at('gate'), routerConfig, reduceMean(x_BND, 1), { mode });
  const gate_BE = gatesByExpert(routing, experts.length);
  const gateOf = (e: number) => reshape(slice(gate_BE, 1, e, e + 1), [batch, 1, 1]);

  // copies of the same map share one product
  const parts: Tensor[] = [];
  const copies = experts.flatMap((kind, e) => (kind === 'copy' ? [gateOf(e)] : []));
  if (copies.length > 0)
    parts.push(
      mul(
        x_BND,
        copies.reduce((a, b) => add(a, b)),
      ),
    );
  experts.forEach((kind, e) => {
    if (kind === 'copy' || kind === 'zero') return;
    const feature_BND = features[kind];
    if (!feature_BND)
      throw new Error(`sequenceMoe: expert ${kind} needs its feature; pass one or leave the expert out`);
    parts.push(mul(blend(scope.at('experts').at(e), config.mix, x_BND, feature_BND), gateOf(e)));
  });
  const y_BND = parts.length > 0 ? parts.reduce((a, b) => add(a, b)) : mul(x_BND, 0);
  return { y_BND, balance: balanceLoss(scores_BE, routing), scores_BE, routing };
}

function blend(scope: ParamScope, mix: 'scalar' | 'position', x_BND: Tensor, feature_BND: Tensor): Tensor {
  const weights =
    mix === 'scalar'
      ? reshape(softmax(scope.param('w', [2], { kind: 'zeros' })), [1, 1, 2])
      : softmax(denseLayer(scope.at('w'), x_BND, 2, { bias: false }));
  const w = slice(weights, 2, 0, 1);
  return add(mul(x_BND, w), mul(feature_BND, sub(1, w)));
}
