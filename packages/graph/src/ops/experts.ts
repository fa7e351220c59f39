import { type DType, formatShape, ShapeError } from '../shape.ts';
import { constant, int64s, scalar, type Tensor, withGradient, withGradients } from '../tensor.ts';
import { add, cast, div, equal, log, maximum, mul, sub, where } from './elementwise.ts';
import { arange, gather, gatherElements, scatterElements, topK } from './indexing.ts';
import { broadcastTo, concat, reshape, slice, splitDynamic, transpose } from './layout.ts';
import { argMax, cumSum, reduceSum } from './reduce.ts';

// T tokens, D width, E experts, K experts a token, P = T·K assignments

export interface Routing {
  /** Chosen experts, best first, integers [T, K]. */
  indices_TK: Tensor;
  /** Their weights [T, K]. */
  gates_TK: Tensor;
}

/** The K highest scores of each token; equal scores go to the lower expert. */
export function routeTopK(scores_TE: Tensor, k: number): Routing {
  const { values, indices } = topK(scores_TE, k);
  return { indices_TK: indices, gates_TK: values };
}

/** As `routeTopK` by K rounds of ArgMax, for devices without TopK and without comparisons of int64: its indices are int32. */
export function routeArgMax(scores_TE: Tensor, k: number): Routing {
  const experts = scores_TE.dim(1);
  if (k < 1 || k > experts)
    throw new ShapeError(`routeArgMax: k = ${k} out of range for ${formatShape(scores_TE.shape)}`);
  const picks: Tensor[] = [];
  let left_TE = scores_TE;
  for (let round = 0; round < k; round++) {
    const pick_T1 = cast(argMax(left_TE, 1), 'int32');
    picks.push(pick_T1);
    left_TE = where(equal(pick_T1, expertNumbers(experts, [1, experts], 'int32')), Number.NEGATIVE_INFINITY, left_TE);
  }
  const indices_TK = concat(picks, 1);
  return { indices_TK, gates_TK: gatherElements(scores_TE, indices_TK, 1) };
}

function expertNumbers(experts: number, shape: readonly number[], dtype: DType): Tensor {
  return dtype === 'int64'
    ? arange(experts, shape)
    : constant(
        Int32Array.from({ length: experts }, (_, i) => i),
        shape,
      );
}

/** Whether the k-th choice of a token is an expert: bool [T, K, E]. */
export function chosenExperts(indices_TK: Tensor, experts: number): Tensor {
  const [tokens, k] = [indices_TK.dim(0), indices_TK.dim(1)];
  return equal(reshape(indices_TK, [tokens, k, 1]), expertNumbers(experts, [1, 1, experts], indices_TK.dtype));
}

/** 1 where the token goes to the expert, else 0: int32 [T, E]. */
export function assignments({ indices_TK }: Routing, experts: number): Tensor {
  return reduceSum(cast(chosenExperts(indices_TK, experts), 'int32'), 1);
}

/** Weight of each expert for each token, 0 where it was not chosen: [T, E]. */
export function gatesByExpert({ indices_TK, gates_TK }: Routing, experts: number): Tensor {
  const [tokens, k] = [indices_TK.dim(0), indices_TK.dim(1)];
  return reduceSum(where(chosenExperts(indices_TK, experts), reshape(gates_TK, [tokens, k, 1]), 0), 1);
}

/**
 * Runs each expert on the tokens routed to it and adds the gated results: y_TD = Σ_k gate_k · expert_k(x).
 * `expert(rows_nD, e)` is called once per expert with a run-time number of rows (0 included) and must map rows
 * independently. Neither direction scatters: rows sorted by expert are read back through the inverse permutation.
 */
export function sparseExperts(
  x_TD: Tensor,
  routing: Routing,
  experts: number,
  expert: (rows_nD: Tensor, e: number) => Tensor,
): Tensor {
  const { indices_TK, gates_TK } = routing;
  const [tokens, k, width] = [indices_TK.dim(0), indices_TK.dim(1), x_TD.dim(1)];
  const total = tokens * k;
  const selected_TE = assignments(routing, experts);
  const counts_E = cast(reduceSum(selected_TE, 0), 'int64');
  // rank of (token, expert) among all assignments in expert-major order
  const running = cumSum(reshape(transpose(selected_TE, [1, 0]), [experts * tokens]), 0);
  const rank_TE = transpose(reshape(running, [experts, tokens]), [1, 0]);
  const slot_P = reshape(sub(cast(gatherElements(rank_TE, indices_TK, 1), 'int64'), int64s([1])), [total]);
  const order_P = scatterElements(broadcastTo(int64s([0]), [total]), slot_P, arange(total), 0, 'none');
  const names = Array.from({ length: experts }, (_, e) => `rows_${x_TD.node.id}_${e}`);
  const tokens_e = splitDynamic(div(order_P, int64s([k])), counts_E, names);
  const gates_e = splitDynamic(gather(reshape(gates_TK, [total, 1]), order_P), counts_E, names);

  const gatherSlots = (sorted: readonly Tensor[], w: number) =>
    reshape(gather(concat(sorted, 0, total), slot_P), [tokens, k, w]);
  const inputs = withGradients(
    tokens_e.map((rows) => gather(x_TD, rows)),
    [x_TD],
    (dRows) => [
      reduceSum(
        gatherSlots(
          dRows.map((d) => d!),
          width,
        ),
        1,
      ),
    ],
  );
  const outputs = inputs.map((rows, e) => expert(rows, e));
  const outWidth = outputs[0]!.dim(1);
  const picked_TKD = gatherSlots(outputs, outWidth);
  const y_TD = reduceSum(mul(picked_TKD, reshape(gates_TK, [tokens, k, 1])), 1);
  return withGradient(y_TD, [...outputs, gates_TK], (dy_TD) => [
    ...tokens_e.map((rows, e) => mul(gather(dy_TD, rows), gates_e[e]!)),
    reduceSum(mul(picked_TKD, reshape(dy_TD, [tokens, 1, outWidth])), 2),
  ]);
}

/** The same sum with every expert run on every token: no run-time shapes, E/K times the work. */
export function denseExperts(
  x_TD: Tensor,
  routing: Routing,
  experts: number,
  expert: (rows_TD: Tensor, e: number) => Tensor,
): Tensor {
  const gate_TE = gatesByExpert(routing, experts);
  let y_TD: Tensor | null = null;
  for (let e = 0; e < experts; e++) {
    const part_TD = mul(expert(x_TD, e), slice(gate_TE, 1, e, e + 1));
    y_TD = y_TD ? add(y_TD, part_TD) : part_TD;
  }
  return y_TD!;
}

/**
 * How often each expert is chosen, as a multiple of its fair share K/E: [E], 1 everywhere at perfect balance.
 * @param weights_T weight of each row [T]; 0 leaves a padding row out.
 */
export function expertLoad(routing: Routing, experts: number, weights_T: Tensor | null = null): Tensor {
  const [tokens, k] = [routing.indices_TK.dim(0), routing.indices_TK.dim(1)];
  const chosen_TE = cast(assignments(routing, experts), 'float32');
  const counted_TE = weights_T ? mul(chosen_TE, reshape(weights_T, [tokens, 1])) : chosen_TE;
  const total = weights_T ? maximum(reduceSum(weights_T, 0, true), 1e-20) : scalar(tokens);
  return div(reduceSum(counted_TE, 0), mul(total, k / experts));
}

/** Mean over rows of the entropy of the router's scores over its log E: [1], 0 where one expert has all, 1 where all are alike. */
export function routerEntropy(scores_TE: Tensor, weights_T: Tensor | null = null): Tensor {
  const [tokens, experts] = [scores_TE.dim(0), scores_TE.dim(1)];
  const entropy_T = reduceSum(mul(scores_TE, log(maximum(scores_TE, 1e-20))), 1);
  const weights = weights_T ?? constant(new Float32Array(tokens).fill(1), [tokens]);
  const total = maximum(reduceSum(weights, 0, true), 1e-20);
  return div(reduceSum(mul(entropy_T, weights), 0, true), mul(total, -Math.log(Math.max(2, experts))));
}

export interface BalanceOptions {
  /** Rows are this many equally long sequences, balanced one by one and averaged. Default 1: all rows together. */
  sequences?: number;
  /** Weight of each row [T]; 0 leaves a padding row out. */
  weights_T?: Tensor;
}

/**
 * Load-balance term Σ_e f_e·P_e with f_e = E/(K·T)·(tokens of e) and P_e the mean score: 1 at perfect balance.
 * The gradient flows through P only (DeepSeekMoE; UniF²ace has one such term per task group).
 */
export function balanceLoss(scores_TE: Tensor, routing: Routing, options: BalanceOptions = {}): Tensor {
  const [tokens, experts] = [scores_TE.dim(0), scores_TE.dim(1)];
  const k = routing.indices_TK.dim(1);
  const sequences = options.sequences ?? 1;
  const length = tokens / sequences;
  const perSequence = (x_TE: Tensor) => reshape(x_TE, [sequences, length, experts]);
  const weights_SL1 = options.weights_T ? reshape(options.weights_T, [sequences, length, 1]) : null;
  const sum = (x_SLE: Tensor) => reduceSum(weights_SL1 ? mul(x_SLE, weights_SL1) : x_SLE, 1);
  const total_S1 = weights_SL1 ? maximum(reduceSum(weights_SL1, 1), 1e-20) : scalar(length);
  const load_SE = div(sum(perSequence(cast(assignments(routing, experts), 'float32'))), mul(total_S1, k / experts));
  const mean_SE = div(sum(perSequence(scores_TE)), total_S1);
  return mul(reduceSum(mul(load_SE, mean_SE)), 1 / sequences);
}
