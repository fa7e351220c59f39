/**
 * Softmax of guided logits (1 + w)·cond − w·uncond, in Float64: what the denoising network computes by itself in float32. For networks
 * whose logits come from elsewhere.
 * @param logits of each code [T·V]; without `unconditional` they are not guided.
 * @returns probabilities [T·V]
 */
export function guidedProbabilities(
  { conditional, unconditional }: { conditional: Float32Array; unconditional?: Float32Array },
  codes: number,
  guidance: number,
): Float64Array {
  const probabilities = Float64Array.from(conditional, (logit, i) =>
    unconditional ? (1 + guidance) * logit - guidance * unconditional[i]! : logit,
  );
  for (let at = 0; at < probabilities.length; at += codes) {
    const row = probabilities.subarray(at, at + codes);
    const max = row.reduce((a, b) => Math.max(a, b));
    let sum = 0;
    for (let v = 0; v < codes; v++) {
      row[v] = Math.exp(row[v]! - max);
      sum += row[v]!;
    }
    for (let v = 0; v < codes; v++) row[v]! /= sum;
  }
  return probabilities;
}
