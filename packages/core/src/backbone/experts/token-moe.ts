import {
  add,
  balanceLoss,
  denseExperts,
  type ParamScope,
  type Routing,
  reshape,
  sparseExperts,
  type Tensor,
} from '@unif2ace/graph';
import { z } from 'zod';
import { feedForward } from './feed-forward.ts';
import { RouterConfig, type RoutingMode, router } from './router.ts';

// B batch, L positions, D width, T = B·L tokens, E experts

/** Token-level mixture of experts (paper §2.2): shared experts always on, routed experts chosen per token. */
export const TokenMoeConfig = z.strictObject({
  router: RouterConfig.prefault({ experts: 8, topK: 4 }),
  /** Hidden width of one routed expert. */
  routedHidden: z.int().positive(),
  /** Hidden width of the shared expert; 0 leaves it out. */
  sharedHidden: z.int().nonnegative(),
  form: z.enum(['gelu', 'swiglu']).default('gelu'),
  /** Balance per sequence instead of over the whole batch (DeepSeek's seq_aux). */
  balancePerSequence: z.boolean().default(false),
});
export type TokenMoeConfig = z.infer<typeof TokenMoeConfig>;

export interface TokenMoeOutput {
  y_BLD: Tensor;
  /** Σ f·P, 1 at perfect balance, before its coefficient. */
  balance: Tensor;
  scores_TE: Tensor;
  routing: Routing;
}

/**
 * y = Σ_shared FFN(x) + Σ_k g_k·FFN_k(x); the residual is added by the caller.
 * Names below `scope`: gate.weight, experts.N.*, shared_experts.* (DeepSeek).
 */
export function tokenMoe(
  scope: ParamScope,
  config: TokenMoeConfig,
  x_BLD: Tensor,
  options: { mode?: RoutingMode; rowWeights_T?: Tensor } = {},
): TokenMoeOutput {
  const [batch, length, width] = [x_BLD.dim(0), x_BLD.dim(1), x_BLD.dim(2)];
  const mode = options.mode ?? 'sparse';
  const x_TD = reshape(x_BLD, [batch * length, width]);
  const { scores_TE, routing } = router(scope.at('gate'), config.router, x_TD, { mode });
  const run = mode === 'sparse' ? sparseExperts : denseExperts;
  const routed_TD = run(x_TD, routing, config.router.experts, (rows, e) =>
    feedForward(scope.at('experts').at(e), config.form, rows, config.routedHidden),
  );
  const y_TD =
    config.sharedHidden > 0
      ? add(routed_TD, feedForward(scope.at('shared_experts'), config.form, x_TD, config.sharedHidden))
      : routed_TD;
  return {
    y_BLD: reshape(y_TD, x_BLD.shape),
    balance: balanceLoss(scores_TE, routing, {
      ...(config.balancePerSequence && { sequences: batch }),
      ...(options.rowWeights_T && { weights_T: options.rowWeights_T }),
    }),
    scores_TE,
    routing,
  };
}
