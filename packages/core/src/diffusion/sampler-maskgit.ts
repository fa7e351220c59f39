import type { Philox } from '@unif2ace/graph';
import { turn } from '../engine/step-batcher.ts';
import { type MaskSchedule, maskRatio, maskRatioFloat32 } from './schedules.ts';

// B images, N tokens, V codes

/** Marks an image token that is still to be drawn. */
export const unknownToken = -1;

/** Longest work between two turns of the event loop, but for a single image. */
const breathMs = 8;

/** Confidence of a known token: log of the largest float32, as in Show-o. */
const knownProbability = 3.4028234663852886e38;

export interface MaskgitOptions {
  /** Denoising steps. */
  steps: number;
  /** Randomness of the choice which tokens to keep. */
  temperature: number;
  schedule?: MaskSchedule;
  /**
   * Codes of one position stand together; drawn in the same step they would not know of each other, so where there is a choice
   * the less confident one waits. Default 1. Not in `showo` mode, whose models have one code a position.
   */
  codeGroups?: number;
  /**
   * `showo` repeats the original with its quirks: compounding temperature, float32 token counts, known tokens re-masked
   * when none is left. `maskgit` (default): temperature·(1 − progress), Float64, known tokens stay.
   */
  mode?: 'maskgit' | 'showo';
}

/** Probabilities [B·N·V] of the codes in one step, after guidance. Read before the next step is asked for. */
export type StepProbabilities = (
  tokens_BN: readonly Int32Array[],
  step: number,
) => Promise<Float32Array | Float64Array>;

/** Random numbers of step s for image b: N for the draw of codes, then N for the confidences. */
export type MaskgitDraws = (step: number, image: number) => { code: ArrayLike<number>; confidence: ArrayLike<number> };

/** Independent numbers per image: what image i draws depends on (seed, i) alone. */
export function philoxDraws(randoms: readonly Philox[], tokens: number): MaskgitDraws {
  return (_step, image) => {
    const random = randoms[image]!;
    const draw = () => new Float64Array(tokens).map(() => random.openUniform());
    return { code: draw(), confidence: draw() };
  };
}

export interface MaskgitStep {
  step: number;
  /** All tokens as drawn in this step (known ones kept). */
  sampled: Int32Array[];
  /** State handed to the next step: unknownToken where masked again. */
  tokens: Int32Array[];
  selected: Float64Array[];
  maskCounts: number[];
  temperature: number;
}

/** Probability of a drawn code. @throws RangeError for one that is no number, as logits beyond all bounds give it. */
function finite(probability: number): number {
  if (Number.isNaN(probability))
    throw new RangeError('sampleMaskgit: expected finite logits, got a probability of NaN; try the weights again');
  return probability;
}

/** Smallest v whose cumulative probability exceeds u. */
export function drawCode(probabilities: ArrayLike<number>, u: number): number {
  let cumulative = 0;
  for (let v = 0; v < probabilities.length; v++) {
    cumulative += probabilities[v]!;
    if (cumulative > u) return v;
  }
  return probabilities.length - 1;
}

/** −log(−log u) with both arguments kept at or above 1e-20. */
export function gumbelOf(u: number): number {
  return -Math.log(Math.max(1e-20, -Math.log(Math.max(1e-20, u))));
}

/** log p + T·Gumbel. */
export function confidence(probability: number, u: number, temperature: number): number {
  return Math.log(Math.max(1e-20, probability)) + temperature * gumbelOf(u);
}

/** 1 for tokens below the `count`-th smallest confidence, strictly (quirks: t2i_generate). */
export function lowestConfidence(confidences: ArrayLike<number>, count: number): Uint8Array {
  const cut = Float64Array.from(confidences).sort()[count];
  return Uint8Array.from(confidences as ArrayLike<number>, (c) => Number(cut !== undefined && c < cut));
}

/**
 * 1 for the `count` tokens that stay masked: those of least confidence, but of the `codeGroups` codes of a position at most one
 * is kept while others are left. With one code a position as `lowestConfidence` where no two are equal.
 */
export function stayMasked(confidences: Float64Array, count: number, codeGroups: number): Uint8Array {
  const order = [...confidences.keys()].sort((a, b) => confidences[b]! - confidences[a]!);
  const masked = new Uint8Array(confidences.length).fill(1);
  const taken = new Set<number>();
  let left = confidences.length - count;
  const keep = (i: number) => {
    masked[i] = 0;
    left--;
  };
  for (const i of order) {
    if (left === 0) break;
    const position = Math.floor(i / codeGroups);
    // known tokens are kept whatever stands beside them
    if (confidences[i] === Number.POSITIVE_INFINITY) keep(i);
    else if (!taken.has(position)) {
      taken.add(position);
      keep(i);
    }
  }
  for (const i of order) {
    if (left === 0) break;
    if (masked[i]) keep(i);
  }
  return masked;
}

/**
 * Confidence sampling of MaskGIT and Show-o (paper §3.6): every step draws all unknown tokens, keeps the most
 * confident and masks the rest again. Yields after each step; the last step's `sampled` is the result.
 */
export async function* sampleMaskgit(
  start: readonly Int32Array[],
  codes: number,
  network: StepProbabilities,
  draws: MaskgitDraws,
  options: MaskgitOptions,
): AsyncGenerator<MaskgitStep> {
  const { steps, mode = 'maskgit', schedule = { method: 'cosine' }, codeGroups = 1 } = options;
  if (!Number.isInteger(steps) || steps < 1)
    throw new RangeError(`sampleMaskgit: steps: expected a whole number from 1 on, got ${steps}`);
  const showo = mode === 'showo';
  const unknownAtStart = start.map(countUnknown);
  let tokens: Int32Array[] = start.map((row) => row.slice());
  let compounded = options.temperature;
  for (let step = 0; step < steps; step++) {
    // Show-o re-masks known tokens when none is unknown; otherwise there is nothing left to do
    if (!showo && tokens.every((row) => countUnknown(row) === 0)) return;
    const progress = (step + 1) / steps;
    const ratio = showo ? maskRatioFloat32(schedule, progress) : maskRatio(schedule, progress);
    compounded *= 1 - progress;
    const temperature = showo ? compounded : options.temperature * (1 - progress);
    const probabilities = await network(tokens, step);
    let sinceMs = performance.now();
    const result: MaskgitStep = {
      step,
      sampled: [],
      tokens: [],
      selected: [],
      maskCounts: [],
      temperature,
    };
    for (const [image, row] of tokens.entries()) {
      if (performance.now() - sinceMs > breathMs) {
        await turn();
        sinceMs = performance.now();
      }
      const length = row.length;
      const { code: codeDraws, confidence: confidenceDraws } = draws(step, image);
      const sampled = row.slice();
      const selected = new Float64Array(length).fill(knownProbability);
      for (let i = 0; i < length; i++) {
        if (row[i] !== unknownToken) continue;
        const at = (image * length + i) * codes;
        const p = probabilities.subarray(at, at + codes);
        sampled[i] = drawCode(p, codeDraws[i]!);
        selected[i] = finite(p[sampled[i]!]!);
      }
      const unknown = countUnknown(row);
      // of an image with given tokens, the schedule counts those that were unknown at the start
      const wanted = Math.floor(showo ? Math.fround(length * ratio) : unknownAtStart[image]! * ratio + 1e-9);
      const count = showo ? Math.max(1, Math.min(unknown - 1, wanted)) : Math.min(Math.max(0, unknown - 1), wanted);
      const confidences = Float64Array.from(selected, (p, i) => confidence(p, confidenceDraws[i]!, temperature));
      if (!showo)
        for (let i = 0; i < length; i++) if (row[i] !== unknownToken) confidences[i] = Number.POSITIVE_INFINITY;
      const masked = showo ? lowestConfidence(confidences, count) : stayMasked(confidences, count, codeGroups);
      result.sampled.push(sampled);
      result.tokens.push(sampled.map((token, i) => (masked[i] ? unknownToken : token)));
      result.selected.push(selected);
      result.maskCounts.push(count);
    }
    tokens = result.tokens;
    yield result;
  }
}

function countUnknown(row: Int32Array): number {
  return row.reduce((n, token) => n + Number(token === unknownToken), 0);
}
