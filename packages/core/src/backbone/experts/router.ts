import {
  add,
  chosenExperts,
  constant,
  div,
  equal,
  mul,
  type ParamScope,
  type Routing,
  reduceMax,
  reduceMean,
  reduceSum,
  reshape,
  routeArgMax,
  routeTopK,
  softmax,
  sqrt,
  square,
  sub,
  type Tensor,
  tanh,
  where,
} from '@unif2ace/graph';
import { z } from 'zod';
import { denseLayer } from '../linear.ts';

// T tokens, D width, E experts, K chosen, G groups of experts

export const RouterConfig = z.strictObject({
  experts: z.int().positive(),
  topK: z.int().positive(),
  /** `softmaxFirst` scores all experts, then chooses (DeepSeekMoE); `topKFirst` softmaxes the chosen (Mixtral). */
  order: z.enum(['softmaxFirst', 'topKFirst']).default('softmaxFirst'),
  /** Divide the chosen weights by their sum. */
  normalize: z.boolean().default(false),
  /** Factor on the chosen weights. */
  scale: z.number().positive().default(1),
  /** Only the best `kept` of `count` groups of experts may be chosen (group-limited greedy). */
  groups: z.strictObject({ count: z.int().positive(), kept: z.int().positive() }).nullable().default(null),
  /** `linear` is one matrix; `twoLayer` is D → 8E → E with tanh (MoE++). */
  gate: z.enum(['linear', 'twoLayer']).default('linear'),
  /** Add a map of the previous layer's logits (MoE++ gating residual). */
  residual: z.boolean().default(false),
  /** Divide logits by their standard deviation over experts, scaled to this value (MoE++). */
  logitsNormStd: z.number().positive().nullable().default(null),
  /** Index of an expert whose weight is set to 0 before normalising (MoE++ zero expert). */
  discarded: z.int().nonnegative().nullable().default(null),
});
export type RouterConfig = z.infer<typeof RouterConfig>;

export interface Routed {
  /** Before normalisation; what the next layer's residual takes. */
  logits_TE: Tensor;
  /** Softmax over all experts. */
  scores_TE: Tensor;
  routing: Routing;
}

/** `sparse` routes with TopK; `dense` with rounds of ArgMax, for devices without TopK. */
export type RoutingMode = 'sparse' | 'dense';

/** Chooses K experts for each row of x_TD. Parameters: `weight`, or `wg.0.weight`, `wg.2.weight`, `gate_map.weight`. */
export function router(
  scope: ParamScope,
  config: RouterConfig,
  x_TD: Tensor,
  options: { mode?: RoutingMode; previousLogits_TE?: Tensor; names?: 'plain' | 'moePlusPlus' } = {},
): Routed {
  const logits_TE = gateLogits(scope, config, x_TD, options);
  const normal_TE = normalizeLogits(logits_TE, config);
  const scores_TE = softmax(normal_TE);
  const choose = options.mode === 'dense' ? routeArgMax : routeTopK;
  const candidates_TE = config.groups ? keepBestGroups(scores_TE, config.groups, choose) : scores_TE;
  if (config.order === 'topKFirst') {
    const { indices_TK, gates_TK } = choose(normal_TE, config.topK);
    return { logits_TE, scores_TE, routing: { indices_TK, gates_TK: mul(softmax(gates_TK), config.scale) } };
  }
  const { indices_TK, gates_TK } = choose(candidates_TE, config.topK);
  let weights_TK = gates_TK;
  if (config.discarded !== null)
    weights_TK = where(equal(indices_TK, like(indices_TK, config.discarded)), 0, weights_TK);
  if (config.normalize) weights_TK = div(weights_TK, add(reduceSum(weights_TK, 1, true), 1e-20));
  return { logits_TE, scores_TE, routing: { indices_TK, gates_TK: mul(weights_TK, config.scale) } };
}

/** An expert's number, of the type in which the indices are. */
function like(indices_TK: Tensor, value: number): Tensor {
  return constant(indices_TK.dtype === 'int64' ? BigInt64Array.of(BigInt(value)) : Int32Array.of(value), [1, 1]);
}

function gateLogits(
  scope: ParamScope,
  config: RouterConfig,
  x_TD: Tensor,
  options: { previousLogits_TE?: Tensor; names?: 'plain' | 'moePlusPlus' },
): Tensor {
  const plain = { bias: false, std: 1 / Math.sqrt(3 * x_TD.dim(1)) };
  let logits_TE: Tensor;
  if (config.gate === 'twoLayer') {
    const inner = tanh(denseLayer(scope.at('wg').at(0), x_TD, 8 * config.experts, plain));
    logits_TE = denseLayer(scope.at('wg').at(2), inner, config.experts, plain);
  } else logits_TE = denseLayer(options.names === 'moePlusPlus' ? scope.at('wg') : scope, x_TD, config.experts, plain);
  if (!config.residual || !options.previousLogits_TE) return logits_TE;
  return add(logits_TE, denseLayer(scope.at('gate_map'), options.previousLogits_TE, config.experts, plain));
}

function normalizeLogits(logits_TE: Tensor, config: RouterConfig): Tensor {
  if (config.logitsNormStd === null) return logits_TE;
  const centred_TE = sub(logits_TE, reduceMean(logits_TE, 1, true));
  // unbiased, as torch.std
  const std_T1 = sqrt(mul(reduceSum(square(centred_TE), 1, true), 1 / (config.experts - 1)));
  return div(logits_TE, mul(std_T1, 1 / config.logitsNormStd));
}

/** Scores with 0 outside the groups whose best expert is among the `kept` best. */
function keepBestGroups(
  scores_TE: Tensor,
  groups: { count: number; kept: number },
  choose: (scores: Tensor, k: number) => Routing,
): Tensor {
  const [tokens, experts] = [scores_TE.dim(0), scores_TE.dim(1)];
  const scores_TGE = reshape(scores_TE, [tokens, groups.count, experts / groups.count]);
  const best_TG = reduceMax(scores_TGE, 2);
  const { indices_TK } = choose(best_TG, groups.kept);
  const hit_TKG = chosenExperts(indices_TK, groups.count);
  const kept_TG1 = reshape(reduceSum(where(hit_TKG, 1, 0), 1), [tokens, groups.count, 1]);
  return reshape(mul(scores_TGE, kept_TG1), [tokens, experts]);
}
