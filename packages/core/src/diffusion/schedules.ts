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
  /** Probability λ(t) = 1 − e^−σ̄ that a token is masked at t. */
  masked(t: number): number;
}

/** σ̄ = −log(1 − (1 − ε)t), so that λ = (1 − ε)t. */
export function logLinearNoise(epsilon = 1e-3): NoiseSchedule {
  return {
    total: (t) => -Math.log1p(-(1 - epsilon) * t),
    rate: (t) => (1 - epsilon) / (1 - (1 - epsilon) * t),
    masked: (t) => (1 - epsilon) * t,
  };
}

/** σ̄ = σmin^(1−t)·σmax^t. */
export function geometricNoise(sigmaMin = 1e-3, sigmaMax = 1): NoiseSchedule {
  const total = (t: number) => sigmaMin ** (1 - t) * sigmaMax ** t;
  return {
    total,
    rate: (t) => total(t) * Math.log(sigmaMax / sigmaMin),
    masked: (t) => -Math.expm1(-total(t)),
  };
}

/** λ = cos(π(1−t)/2): Show-o's cosine schedule as a noise schedule, σ̄ = −log(1 − λ). */
export function cosineNoise(): NoiseSchedule {
  const masked = (t: number) => Math.sin((Math.PI * t) / 2);
  return {
    total: (t) => -Math.log1p(-masked(t)),
    rate: (t) => ((Math.PI / 2) * Math.cos((Math.PI * t) / 2)) / (1 - masked(t)),
    masked,
  };
}

/** Law of the number k of masked tokens in training: k = max(1, round(L·cos(πu/2))), or uniform on 1..L. */
export type MaskCountLaw = 'cosine' | 'uniform';

/**
 * P(k) of a training mask of `length` tokens; sums to 1 over k = 1..L (paper §1.6).
 *
 * @throws RangeError unless 1 ≤ count ≤ length.
 */
export function maskCountProbability(law: MaskCountLaw, count: number, length: number): number {
  if (!Number.isInteger(count) || count < 1 || count > length)
    throw new RangeError(`maskCountProbability: count ${count} is outside 1 to ${length}`);
  if (law === 'uniform') return 1 / length;
  // counts 0 and 1 share k = 1; the last half step belongs to k = L
  const low = count === 1 ? 0 : (count - 0.5) / length;
  const high = Math.min(1, (count + 0.5) / length);
  return (2 / Math.PI) * (Math.acos(low) - Math.acos(high));
}

/**
 * w(k) = 1/(k·P(k)): the weight that makes w·Σ ce an unbiased estimate of L1 (paper §1.6). Uniform k gives L/k.
 *
 * @throws RangeError unless 1 ≤ count ≤ length.
 */
export function scoreWeight(law: MaskCountLaw, count: number, length: number): number {
  return 1 / (count * maskCountProbability(law, count, length));
}

/** Times of a batch from one shared uniform: t_i = (1 − ε)·((u + i/B) mod 1) + ε (RADD's "vdm" sampler). */
export function sharedTimes(u: number, batch: number, epsilon = 1e-3): Float64Array {
  return Float64Array.from({ length: batch }, (_, i) => (1 - epsilon) * ((u + i / batch) % 1) + epsilon);
}

/** Mask rates of a batch, one in each of B equal strata: λ_i = (u_i + i)/B (RADD's "decoupled" sampler). */
export function stratifiedRates(u_B: ArrayLike<number>): Float64Array {
  return Float64Array.from(u_B, (u, i) => (u + i) / u_B.length);
}
