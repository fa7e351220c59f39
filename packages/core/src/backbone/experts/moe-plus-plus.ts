import { add, mul, type ParamScope, reshape, slice, softmax, sparseExperts, type Tensor } from '@unif2ace/graph';
import { denseLayer } from '../linear.ts';
import { feedForward } from './feed-forward.ts';
import { type Routed, type RouterConfig, router } from './router.ts';

/** Token-level MoE++ layer: MLP experts, then constant experts, one copy and one zero expert (arXiv 2410.07348). */
export interface MoePlusPlusConfig {
  router: RouterConfig;
  constantExperts: number;
  hidden: number;
  /** Factor on the experts' input (the original multiplies by top-K unless told not to). */
  inputScale: number;
}

/** y and the router's logits, which the next layer's gating residual takes. Names: gate.*, experts.experts.N.*. */
export function moePlusPlus(
  scope: ParamScope,
  config: MoePlusPlusConfig,
  x_BLD: Tensor,
  previousLogits_TE?: Tensor,
): { y_BLD: Tensor; routed: Routed } {
  const tokens = x_BLD.dim(0) * x_BLD.dim(1);
  const x_TD = reshape(x_BLD, [tokens, x_BLD.dim(2)]);
  const routed = router(scope.at('gate'), config.router, x_TD, {
    names: 'moePlusPlus',
    ...(previousLogits_TE && { previousLogits_TE }),
  });
  const experts = config.router.experts;
  const firstConstant = experts - 2 - config.constantExperts;
  const y_TD = sparseExperts(mul(x_TD, config.inputScale), routed.routing, experts, (rows, e) => {
    if (e === experts - 1) return mul(rows, 0);
    if (e === experts - 2) return rows;
    const own = scope.at('experts').at('experts').at(e);
    return e < firstConstant ? feedForward(own, 'fusedSwiglu', rows, config.hidden) : constantExpert(own, rows);
  });
  return { y_BLD: reshape(y_TD, x_BLD.shape), routed };
}

/** a₁·x + a₂·v with [a₁, a₂] = softmax(W x) and a learnt vector v. */
function constantExpert(scope: ParamScope, rows_nD: Tensor): Tensor {
  const width = rows_nD.dim(1);
  const mix_n2 = softmax(denseLayer(scope.at('wg'), rows_nD, 2, { bias: false }));
  const value_1D = reshape(scope.param('constant', [width], { kind: 'normal', std: 0.02 }), [1, width]);
  return add(mul(rows_nD, slice(mix_n2, 1, 0, 1)), mul(value_1D, slice(mix_n2, 1, 1, 2)));
}
