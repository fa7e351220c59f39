/**
 * A predictor on tiny sequences: log p(x_i = v | visible tokens). `visible[j]` is the token at j, or −1 where masked.
 * Only asked for masked i.
 */
export type Conditional = (visible: readonly number[], i: number, v: number) => number;

function subsets(length: number): number[] {
  return Array.from({ length: 2 ** length }, (_, set) => set);
}

function members(set: number, length: number): number[] {
  return Array.from({ length }, (_, i) => i).filter((i) => (set >> i) & 1);
}

/** Σ over the masked set S of −log p(x0_i | x0 outside S). */
export function maskedCrossEntropy(p: Conditional, x0: readonly number[], masked: number): number {
  const visible = x0.map((x, i) => ((masked >> i) & 1 ? -1 : x));
  return members(masked, x0.length).reduce((sum, i) => sum - p(visible, i, x0[i]!), 0);
}

/** Mean of a function of the set over all sets of k of L tokens. */
function meanOverSize(length: number, k: number, f: (set: number) => number): number {
  const sets = subsets(length).filter((set) => members(set, length).length === k);
  return sets.reduce((sum, set) => sum + f(set), 0) / sets.length;
}

/** L1 = Σ_k (1/k)·E_|S|=k Σ_S ce: the continuous-time bound of −log p(x0), whatever the schedule (paper §1.5). */
export function exactL1(p: Conditional, x0: readonly number[]): number {
  let sum = 0;
  for (let k = 1; k <= x0.length; k++) sum += meanOverSize(x0.length, k, (set) => maskedCrossEntropy(p, x0, set)) / k;
  return sum;
}

/** The same as the mean over all orders of −Σ log p(x_π_j | x_π_<j). */
export function anyOrderMean(p: Conditional, x0: readonly number[]): number {
  const all = orders(x0.length);
  return all.reduce((sum, order) => sum + orderLoss(p, x0, order), 0) / all.length;
}

/** −log p of revealing the tokens in one order. */
export function orderLoss(p: Conditional, x0: readonly number[], order: readonly number[]): number {
  const visible = x0.map(() => -1);
  let loss = 0;
  for (const i of order) {
    loss -= p(visible, i, x0[i]!);
    visible[i] = x0[i]!;
  }
  return loss;
}

export function orders(length: number): number[][] {
  if (length === 0) return [[]];
  return orders(length - 1).flatMap((rest) =>
    Array.from({ length }, (_, at) => [...rest.slice(0, at), length - 1, ...rest.slice(at)]),
  );
}

/** Exact −log p(x0) of the continuous reverse process, by recursion over revealed sets (paper §1.5). */
export function exactNll(p: Conditional, x0: readonly number[]): number {
  const length = x0.length;
  const probability = new Float64Array(2 ** length);
  probability[0] = 1;
  for (let revealed = 1; revealed < 2 ** length; revealed++) {
    const inside = members(revealed, length);
    for (const i of inside) {
      const before = revealed & ~(1 << i);
      const visible = x0.map((x, j) => ((before >> j) & 1 ? x : -1));
      probability[revealed]! += (probability[before]! * Math.exp(p(visible, i, x0[i]!))) / (length - inside.length + 1);
    }
  }
  return -Math.log(probability[2 ** length - 1]!);
}

/** E over independent masks of rate λ of Σ_S ce. */
function bernoulliMean(p: Conditional, x0: readonly number[], lambda: number): number {
  const length = x0.length;
  return subsets(length).reduce((sum, set) => {
    const k = members(set, length).length;
    const weight = lambda ** k * (1 - lambda) ** (length - k);
    return weight === 0 ? sum : sum + weight * maskedCrossEntropy(p, x0, set);
  }, 0);
}

/** Bounds of the T-step model on the grid 0 = λ_0 < … < λ_T = 1: the ELBO L_T, and the unweighted L2_T (paper §1.5). */
export function stepBounds(
  p: Conditional,
  x0: readonly number[],
  grid: readonly number[],
): { elbo: number; unweighted: number } {
  let [elbo, unweighted] = [0, 0];
  for (let t = 1; t < grid.length; t++) {
    const expected = bernoulliMean(p, x0, grid[t]!);
    elbo += ((grid[t]! - grid[t - 1]!) / grid[t]!) * expected;
    unweighted += expected;
  }
  return { elbo, unweighted };
}

/** Exact −log p(x0) of the T-step reverse process: every masked token is revealed with probability (λ_t − λ_t−1)/λ_t. */
export function exactStepNll(p: Conditional, x0: readonly number[], grid: readonly number[]): number {
  const length = x0.length;
  const all = 2 ** length - 1;
  let state = new Float64Array(2 ** length);
  state[all] = 1;
  for (let t = grid.length - 1; t >= 1; t--) {
    const reveal = (grid[t]! - grid[t - 1]!) / grid[t]!;
    const next = new Float64Array(2 ** length);
    for (let masked = 0; masked <= all; masked++) {
      if (state[masked] === 0) continue;
      const inside = members(masked, length);
      const visible = x0.map((x, i) => ((masked >> i) & 1 ? -1 : x));
      // tokens revealed in one step are drawn independently given the state before it
      for (let shown = masked; ; shown = (shown - 1) & masked) {
        const chosen = members(shown, length);
        const logP = chosen.reduce((sum, i) => sum + p(visible, i, x0[i]!), 0);
        const weight = reveal ** chosen.length * (1 - reveal) ** (inside.length - chosen.length);
        next[masked & ~shown]! += state[masked]! * weight * Math.exp(logP);
        if (shown === 0) break;
      }
    }
    state = next;
  }
  return -Math.log(state[0]!);
}
