import type { Philox } from '@unif2ace/graph';
import { unknownToken } from './sampler-maskgit.ts';

/** Probabilities [N·V] of every token given a partly masked image. */
export type CodeProbabilities = (tokens: Int32Array) => Promise<ArrayLike<number>>;

function drawAt(probabilities: ArrayLike<number>, position: number, codes: number, random: Philox): number {
  return random.categorical(Float64Array.from({ length: codes }, (_, v) => probabilities[position * codes + v]!));
}

/**
 * The exact reverse process on a grid 0 = λ_0 < … < λ_T = 1: each masked token is revealed with probability
 * (λ_t − λ_t−1)/λ_t and drawn from p_θ. Its likelihood is what L_T and L1 bound (paper §1.8).
 */
export async function sampleReverse(
  start: Int32Array,
  codes: number,
  probabilities: CodeProbabilities,
  grid: readonly number[],
  random: Philox,
): Promise<Int32Array> {
  const tokens = start.slice();
  for (let t = grid.length - 1; t >= 1; t--) {
    const reveal = (grid[t]! - grid[t - 1]!) / grid[t]!;
    const chosen = [...tokens.keys()].filter((i) => tokens[i] === unknownToken && random.uniform() < reveal);
    if (chosen.length === 0) continue;
    const p = await probabilities(tokens);
    for (const i of chosen) tokens[i] = drawAt(p, i, codes, random);
  }
  return tokens;
}

/**
 * First-hitting sampler: the continuous process with its events drawn analytically. Tokens appear one at a time in
 * random order, so it makes as many network calls as there are masked tokens and has no grid error.
 */
export async function sampleFirstHitting(
  start: Int32Array,
  codes: number,
  probabilities: CodeProbabilities,
  random: Philox,
): Promise<Int32Array> {
  const tokens = start.slice();
  const masked = random.shuffle(Int32Array.from([...tokens.keys()].filter((i) => tokens[i] === unknownToken)));
  for (const i of masked) tokens[i] = drawAt(await probabilities(tokens), i, codes, random);
  return tokens;
}
