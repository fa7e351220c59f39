import { inverseScoreFactor, type NoiseSchedule } from './schedules.ts';

// Absorbing diffusion over V codes with state V = mask: pieces of SEDD (Lou et al. 2024) and RADD (Ou et al. 2024), Float64.
// Rows of scores have V + 1 entries, the last is the mask.

/**
 * Score entropy of one token from log scores: Σ_v s_v − r·log s_x0 + r(log r − 1) with r = 1/(e^σ − 1); 0 where the
 * token is not masked. The mask column is left out of the sum (quirks: SEDD).
 */
export function scoreEntropy(logScore: ArrayLike<number>, sigma: number, xt: number, x0: number): number {
  const mask = logScore.length - 1;
  if (xt !== mask) return 0;
  const r = 1 / inverseScoreFactor(sigma);
  let sum = 0;
  for (let v = 0; v < mask; v++) sum += Math.exp(logScore[v]!);
  return sum - r * logScore[x0]! + r * (Math.log(r) - 1);
}

/** Its gradient with respect to the log scores. */
export function scoreEntropyGradient(logScore: ArrayLike<number>, sigma: number, xt: number, x0: number): Float64Array {
  const mask = logScore.length - 1;
  const gradient = new Float64Array(logScore.length);
  if (xt !== mask) return gradient;
  for (let v = 0; v < mask; v++) gradient[v] = Math.exp(logScore[v]!);
  gradient[x0]! -= 1 / inverseScoreFactor(sigma);
  return gradient;
}

/** Forward rates out of state x: to the mask 1, of staying −1; none out of the mask. */
export function rate(x: number, vocabulary: number): Float64Array {
  const out = new Float64Array(vocabulary + 1);
  out[vocabulary]! += 1;
  out[x]! -= 1;
  return out;
}

/** Rates into state x from every state (a column of the rate matrix). */
export function transposedRate(x: number, vocabulary: number): Float64Array {
  const out = new Float64Array(vocabulary + 1);
  if (x === vocabulary) out.fill(1, 0, vocabulary);
  else out[x] = -1;
  return out;
}

/** Reverse rates out of x: transposed rate times score, the diagonal makes the row sum 0. */
export function reverseRate(x: number, score: ArrayLike<number>): Float64Array {
  const vocabulary = score.length - 1;
  const out = transposedRate(x, vocabulary).map((value, v) => value * score[v]!);
  out[x] = 0;
  out[x] = -out.reduce((a, b) => a + b, 0);
  return out;
}

/** Score at a time `dSigma` earlier: s·e^dσ, the mask entry gets what keeps the ratio of masses. */
export function staggeredScore(score: ArrayLike<number>, dSigma: number): Float64Array {
  const mask = score.length - 1;
  let sum = 0;
  for (let v = 0; v <= mask; v++) sum += score[v]!;
  const out = Float64Array.from(score, (s) => s * Math.exp(dSigma));
  out[mask]! += (1 - Math.exp(dSigma)) * sum;
  return out;
}

/** Probability of x_t = x from every state over a step `dSigma`. */
export function transposedTransition(x: number, dSigma: number, vocabulary: number): Float64Array {
  const out = new Float64Array(vocabulary + 1);
  if (x === vocabulary) {
    out.fill(-Math.expm1(-dSigma));
    out[vocabulary] = 1;
  } else out[x] = Math.exp(-dSigma);
  return out;
}

/** x0 → masked where the uniform is below λ = 1 − e^−σ. */
export function sampleTransition(
  x0: ArrayLike<number>,
  uniforms: ArrayLike<number>,
  sigma: number,
  mask: number,
): number[] {
  const moved = -Math.expm1(-sigma);
  return Array.from(x0, (x, i) => (uniforms[i]! < moved ? mask : x));
}

/** log scores of RADD: log p − log(e^σ − 1) (paper §1.3). */
export function logScoreFromConditional(logCondition: number, sigma: number): number {
  return logCondition - Math.log(inverseScoreFactor(sigma));
}

export interface WeightedLoss {
  loss: number;
  /** With respect to the log-probabilities [L·(V+1)] of this row. */
  gradient: Float64Array;
}

function maskedSum(
  logCondition: ArrayLike<number>,
  x0: ArrayLike<number>,
  xt: ArrayLike<number>,
  width: number,
  weight: number,
  shift: number,
): WeightedLoss {
  const gradient = new Float64Array(logCondition.length);
  let loss = 0;
  for (let i = 0; i < x0.length; i++) {
    if (xt[i] !== width - 1) continue;
    const at = i * width + x0[i]!;
    loss += weight * (shift - logCondition[at]!);
    gradient[at] = -weight;
  }
  return { loss, gradient };
}

/** RADD t-DCE: (σ'/(e^σ−1))·Σ_masked (−log p + log(e^σ−1)); no NELBO, since the second part has no parameters. */
export function timeCrossEntropy(
  logCondition: ArrayLike<number>,
  x0: ArrayLike<number>,
  xt: ArrayLike<number>,
  width: number,
  noise: NoiseSchedule,
  t: number,
): WeightedLoss {
  const factor = inverseScoreFactor(noise.total(t));
  return maskedSum(logCondition, x0, xt, width, noise.rate(t) / factor, Math.log(factor));
}

/** RADD t-DSE: σ'·Σ_masked score entropy of s = p/(e^σ−1). */
export function timeScoreEntropy(
  logCondition: ArrayLike<number>,
  x0: ArrayLike<number>,
  xt: ArrayLike<number>,
  width: number,
  noise: NoiseSchedule,
  t: number,
): WeightedLoss {
  const [sigma, rateAt] = [noise.total(t), noise.rate(t)];
  const gradient = new Float64Array(logCondition.length);
  let loss = 0;
  for (let i = 0; i < x0.length; i++) {
    const row = Float64Array.from({ length: width }, (_, v) =>
      logScoreFromConditional(logCondition[i * width + v]!, sigma),
    );
    loss += rateAt * scoreEntropy(row, sigma, xt[i]!, x0[i]!);
    gradient.set(
      scoreEntropyGradient(row, sigma, xt[i]!, x0[i]!).map((g) => g * rateAt),
      i * width,
    );
  }
  return { loss, gradient };
}

/** RADD λ-DCE: (1/λ)·Σ_masked −log p. */
export function lambdaCrossEntropy(
  logCondition: ArrayLike<number>,
  x0: ArrayLike<number>,
  xt: ArrayLike<number>,
  width: number,
  lambda: number,
): WeightedLoss {
  return maskedSum(logCondition, x0, xt, width, 1 / lambda, 0);
}

/** RADD k-DCE: (L/k)·Σ_masked −log p. */
export function countCrossEntropy(
  logCondition: ArrayLike<number>,
  x0: ArrayLike<number>,
  xt: ArrayLike<number>,
  width: number,
  k: number,
): WeightedLoss {
  return maskedSum(logCondition, x0, xt, width, x0.length / k, 0);
}
