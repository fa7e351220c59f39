import type { FlatState } from '@unif2ace/graph';

export interface AdamWOptions {
  learningRate: number;
  /** Default [0.9, 0.999]. */
  betas?: readonly [number, number];
  /** Default 1e-8. */
  epsilon?: number;
  /** Decoupled decay per unit of learning rate. */
  weightDecay: number;
  /** Parameters that are not decayed. */
  noDecay: (name: string, shape: readonly number[]) => boolean;
}

/** AdamW (Loshchilov & Hutter 2019) over flat arrays, in PyTorch's order of operations. */
export class AdamW {
  learningRate: number;
  readonly #state: FlatState;
  readonly #options: Required<AdamWOptions>;
  /** Consecutive parameters of one decay setting: one loop each. */
  readonly #ranges: { start: number; end: number; decay: number }[] = [];
  #steps = 0;

  constructor(state: FlatState, options: AdamWOptions) {
    this.#state = state;
    this.#options = { betas: [0.9, 0.999], epsilon: 1e-8, ...options };
    this.learningRate = options.learningRate;
    for (const { name, shape } of state.specs) {
      const { start, end } = state.range(name);
      const decay = options.noDecay(name, shape) ? 0 : options.weightDecay;
      const last = this.#ranges.at(-1);
      // the padding between two parameters is zero and stays so
      if (last && last.decay === decay) last.end = end;
      else this.#ranges.push({ start, end, decay });
    }
  }

  /** Steps taken; setting it continues a stored run. */
  get steps(): number {
    return this.#steps;
  }

  set steps(value: number) {
    this.#steps = value;
  }

  /** One update from the gradients in the state. */
  step(): void {
    this.#steps++;
    const [beta1, beta2] = this.#options.betas;
    const correction1 = 1 - beta1 ** this.#steps;
    const correction2 = Math.sqrt(1 - beta2 ** this.#steps);
    const stepSize = this.learningRate / correction1;
    for (const { start, end, decay } of this.#ranges)
      updateRange(this.#state, start, end, 1 - this.learningRate * decay, stepSize, correction2, beta1, beta2, this.#options.epsilon);
  }
}

function updateRange(
  { params, grads, m, v }: FlatState,
  start: number,
  end: number,
  keep: number,
  stepSize: number,
  correction2: number,
  beta1: number,
  beta2: number,
  epsilon: number,
): void {
  const [rest1, rest2] = [1 - beta1, 1 - beta2];
  const inverse2 = 1 / correction2;
  for (let i = start; i < end; i++) {
    const g = grads[i]!;
    const mi = beta1 * m[i]! + rest1 * g;
    const vi = beta2 * v[i]! + rest2 * g * g;
    m[i] = mi;
    v[i] = vi;
    params[i] = params[i]! * keep - (stepSize * mi) / (Math.sqrt(vi) * inverse2 + epsilon);
  }
}

/** Scales all gradients so that their joint norm is at most `maxNorm`; returns the norm before. PyTorch's formula. */
export function clipGradNorm(grads: Float32Array, maxNorm: number): number {
  let sum = 0;
  for (let i = 0; i < grads.length; i++) sum += grads[i]! * grads[i]!;
  const norm = Math.sqrt(sum);
  const factor = Math.min(1, maxNorm / (norm + 1e-6));
  if (factor < 1) for (let i = 0; i < grads.length; i++) grads[i] = grads[i]! * factor;
  return norm;
}
