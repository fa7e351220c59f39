import { textProbabilities } from '../text/decoding.ts';

/**
 * Softmax of guided logits (1 + w)·cond − w·uncond, in Float64: what the denoising network computes by itself in float32. For networks
 * whose logits come from elsewhere.
 * @param logits of each code [T·V]; without `unconditional` they are not guided.
 * @returns probabilities [T·V] @throws RangeError on logits that are no numbers.
 */
export function guidedProbabilities(
  { conditional, unconditional }: { conditional: Float32Array; unconditional?: Float32Array },
  codes: number,
  guidance: number,
): Float64Array {
  const guided = Float64Array.from(conditional, (logit, i) =>
    unconditional ? (1 + guidance) * logit - guidance * unconditional[i]! : logit,
  );
  const probabilities = new Float64Array(guided.length);
  for (let at = 0; at < guided.length; at += codes)
    probabilities.set(textProbabilities(guided.subarray(at, at + codes)), at);
  return probabilities;
}
