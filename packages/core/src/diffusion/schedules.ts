/** Share of tokens still masked as a function of progress 0..1 (1 → 0): the mask schedules of MaskGIT and Show-o. */
export type MaskSchedule =
  | { method: 'cosine' }
  | { method: 'linear' }
  | { method: `pow${number}` }
  | { method: 'sigmoid'; start?: number; end?: number; tau?: number };

/** Smallest value of the clamped schedules in Show-o. */
const smallestRatio = 1e-6;

/**
 * Share of masked tokens in Float64, clamped to 0..1, exactly 1 at 0 and 0 at 1.
 *
 * @throws Error for an unknown method.
 */
export function maskRatio(schedule: MaskSchedule, progress: number): number {
  const clamp = (x: number) => Math.min(1, Math.max(0, x));
  if (progress >= 1) return 0;
  switch (schedule.method) {
    case 'cosine':
      return clamp(Math.cos((progress * Math.PI) / 2));
    case 'linear':
      return clamp(1 - progress);
    case 'sigmoid': {
      const { start = -3, end = 3, tau = 1 } = schedule;
      const [first, last] = [sigmoid(start / tau), sigmoid(end / tau)];
      return clamp((last - sigmoid((progress * (end - start) + start) / tau)) / (last - first));
    }
    default:
      return clamp(1 - progress ** exponentOf(schedule.method));
  }
}

/**
 * The same in the float32 steps of Show-o, whose token counts differ from Float64's: cos at 2/3 is 0.49999997; the
 * cosine is not clamped and ends at −4.4e-8, the others end at 1e-6 (quirks: t2i_generate).
 */
export function maskRatioFloat32(schedule: MaskSchedule, progress: number): number {
  const f = Math.fround;
  const t = f(progress);
  const clamp = (x: number) => Math.min(1, Math.max(f(smallestRatio), f(x)));
  switch (schedule.method) {
    case 'cosine':
      return f(Math.cos(f(f(t * f(Math.PI)) * 0.5)));
    case 'linear':
      return clamp(1 - t);
    case 'sigmoid': {
      const { start = -3, end = 3, tau = 1 } = schedule;
      const [first, last] = [f(sigmoid(f(start / tau))), f(sigmoid(f(end / tau)))];
      const now = f(sigmoid(f(f(f(t * f(end - start)) + f(start)) / f(tau))));
      return clamp(f(last - now) / f(last - first));
    }
    default:
      return clamp(1 - f(t ** exponentOf(schedule.method)));
  }
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

function exponentOf(method: string): number {
  const exponent = Number(/^pow(.+)$/.exec(method)?.[1]);
  if (!(exponent > 0)) throw new Error(`maskRatio: unknown schedule ${method}; try cosine, linear, sigmoid or pow2`);
  return exponent;
}

/** Noise schedule of absorbing diffusion over t ∈ [0, 1] (paper §1.4). */
export interface NoiseSchedule {
  /** Total noise σ̄(t). */
  total(t: number): number;
  /** Rate σ(t) = σ̄'(t). */
  rate(t: number): number;
}

/**
 * σ̄ = −log(1 − (1 − ε)t), so that λ = (1 − ε)t. `float32` rounds each step as the original does: near t = 1 the
 * difference 1 − (1 − ε)t cancels, and the rate differs from Float64's by up to 6e-5 of its value.
 */
export function logLinearNoise(epsilon = 1e-3, precision: 'float32' | 'float64' = 'float64'): NoiseSchedule {
  const f = precision === 'float32' ? Math.fround : (x: number) => x;
  const moved = (t: number) => f(f(1 - epsilon) * f(t));
  return {
    total: (t) => f(-Math.log1p(-moved(t))),
    rate: (t) => f(f(1 - epsilon) / f(1 - moved(t))),
  };
}

/** σ̄ = σmin^(1−t)·σmax^t. */
export function geometricNoise(sigmaMin = 1e-3, sigmaMax = 1): NoiseSchedule {
  const total = (t: number) => sigmaMin ** (1 - t) * sigmaMax ** t;
  return {
    total,
    rate: (t) => total(t) * Math.log(sigmaMax / sigmaMin),
  };
}

/** e^σ − 1, the inverse of the score's factor r = (1−λ)/λ. */
export function inverseScoreFactor(sigma: number): number {
  return Math.expm1(sigma);
}
