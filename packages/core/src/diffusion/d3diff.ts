import type { MaskCountLaw } from './masking.ts';

// L tokens of an image, k of them masked; ce_i = −log p_θ(x0_i | xt) of masked token i, in nats

/** Which terms of D3Diff count; the rows of the paper's loss ablation. */
export type LossTerms = 'both' | 'maskOnly' | 'scoreOnly';

export interface D3DiffOptions {
  /** Default `both`. */
  terms?: LossTerms;
  /** Weight α of the score term. Default 0.01 (paper §1.1). */
  alpha?: number;
  /** How k was drawn: the score term's exact weight depends on it. Default `cosine`. */
  law?: MaskCountLaw;
}

/** P(k) of the cosine law k = max(1, round(L·cos(πu/2))), u uniform (paper §1.6). */
export function cosineCountProbability(k: number, length: number): number {
  const low = k === 1 ? 0 : (k - 0.5) / length;
  const high = Math.min(1, (k + 0.5) / length);
  return (2 / Math.PI) * (Math.acos(low) - Math.acos(high));
}

/** w(k) that makes w(k)·Σ ce an unbiased estimate of L1: 1/(k·P(k)); L/k under the uniform law (paper §1.6). */
export function scoreWeight(k: number, length: number, law: MaskCountLaw = 'cosine'): number {
  if (!Number.isInteger(k) || k < 1 || k > length)
    throw new RangeError(`scoreWeight: k = ${k} out of range for ${length} tokens`);
  return law === 'uniform' ? length / k : 1 / (k * cosineCountProbability(k, length));
}

/** Weight of each masked token's cross-entropy in the loss of one image: 1/k + α·w(k), or one of the two terms. */
export function tokenWeight(k: number, length: number, options: D3DiffOptions = {}): number {
  const { terms = 'both', alpha = 0.01, law = 'cosine' } = options;
  const mask = terms === 'scoreOnly' ? 0 : 1 / k;
  const score = terms === 'maskOnly' ? 0 : alpha * scoreWeight(k, length, law);
  return mask + score;
}

export interface D3DiffTerms {
  /** Mean cross-entropy of the masked tokens: Show-o's mask loss without soi and eoi. */
  mask: number;
  /** Unbiased sample of L1, an upper bound of −log p(x0), in nats per image. */
  score: number;
  loss: number;
}

/** The loss of one image from its tokens' cross-entropies, for reporting and as an oracle (paper §1.6). */
export function d3diff(ce_L: ArrayLike<number>, masked_L: ArrayLike<number>, options: D3DiffOptions = {}): D3DiffTerms {
  let [k, sum] = [0, 0];
  for (let i = 0; i < ce_L.length; i++)
    if (masked_L[i]) {
      k++;
      sum += ce_L[i]!;
    }
  return {
    mask: sum / k,
    score: scoreWeight(k, ce_L.length, options.law) * sum,
    loss: tokenWeight(k, ce_L.length, options) * sum,
  };
}

/** L1 as it should be reported: nats and bits per token. */
export function bitsPerToken(nats: number, tokens: number): { natsPerToken: number; bitsPerToken: number } {
  return { natsPerToken: nats / tokens, bitsPerToken: nats / tokens / Math.LN2 };
}

/**
 * Score entropy of one masked token over r, from full-vocabulary log-probabilities: ce_conditional − log P + P − 1,
 * where P is the mass on image codes. The extra penalty is 0 only at P = 1 (paper §1.6, consequence 3).
 */
export function fullVocabularyScore(
  logProbabilities: ArrayLike<number>,
  codeOffset: number,
  codes: number,
  target: number,
): number {
  let mass = 0;
  for (let v = 0; v < codes; v++) mass += Math.exp(logProbabilities[codeOffset + v]!);
  return -logProbabilities[codeOffset + target]! + mass - 1;
}

/**
 * Score entropy of one masked token over r with SEDD's unnormalised scores s_v = r·exp(logit_v):
 * Σ_v exp(logit_v) − logit_target − 1, minimal where exp(logit) is the data distribution (paper §1.4).
 */
export function unnormalizedScore(logits: ArrayLike<number>, target: number): number {
  let sum = 0;
  for (let v = 0; v < logits.length; v++) sum += Math.exp(logits[v]!);
  return sum - logits[target]! - 1;
}
