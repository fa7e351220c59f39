import type { Philox } from '@unif2ace/graph';
import { ignoreLabel } from '../prompt/sequences.ts';
import { type MaskCountLaw, type MaskSchedule, maskRatio, maskRatioFloat32 } from './schedules.ts';

/** Number of masked tokens of one image of `length` tokens, 1 to `length` (paper §1.5, §1.6). */
export function drawMaskCount(law: MaskCountLaw, length: number, random: Philox): number {
  if (law === 'uniform') return 1 + random.int(length);
  return Math.max(1, Math.round(length * maskRatio({ method: 'cosine' }, random.uniform())));
}

/**
 * Random set of exactly `count` of `length` positions, every such set equally likely: 1 where masked.
 *
 * @throws RangeError unless 0 ≤ count ≤ length.
 */
export function drawMask(count: number, length: number, random: Philox): Uint8Array {
  if (!Number.isInteger(count) || count < 0 || count > length)
    throw new RangeError(`drawMask: count ${count} is outside 0 to ${length}`);
  const masked = new Uint8Array(length);
  for (const position of random.permutation(length).subarray(0, count)) masked[position] = 1;
  return masked;
}

/** Settings of Show-o's `mask_or_random_replace_tokens`. */
export interface ShowoMaskingConfig {
  schedule: MaskSchedule;
  /** Id that replaces a masked token. */
  maskId: number;
  /** Lower bound of the mask rate; default 0. */
  minMaskingRate?: number;
  /** `random_replace` replaces nothing in the original either, but labels and weighs every token. Default `mask`. */
  noiseType?: 'mask' | 'random_replace';
  /** Labels and weighs every token; default false. */
  predictAllTokens?: boolean;
  /** Probability of a rectangle in place of scattered positions, drawn once for the batch; default: never drawn. */
  contiguousRegionProbability?: number;
  /** Mask rates drawn from in evaluation instead of the schedule. */
  evalMaskRatios?: readonly number[];
  /** Default true. */
  training?: boolean;
}

/** Supplied random numbers, so that a recorded run can be repeated. */
export interface ShowoMaskingDraws {
  /** [B] uniforms behind the mask rates; not asked for where `evalMaskRatios` are used. */
  timesteps(): ArrayLike<number>;
  /** [B·N] uniforms behind the positions; not asked for in contiguous regions. */
  positions(): ArrayLike<number>;
  /** Uniform that decides for a contiguous region. */
  random(): number;
  /** Integer in low..high, both included. */
  randint(low: number, high: number): number;
  /** `count` values of the population, with replacement. */
  choices(population: readonly number[], count: number): number[];
}

export interface ShowoMasking {
  /** [B][N] */
  inputIds: number[][];
  /** [B][N], −100 where a token does not count. */
  labels: number[][];
  /** [B] mask rates. */
  maskProbability: Float32Array;
  /** [B][N], only with `random_replace` or `predictAllTokens`. */
  lossWeight: Float32Array[] | null;
}

/**
 * Show-o's masking of image tokens [B][N], float32 steps and quirks included: `argsort(u) < count` on the order itself
 * instead of the rank, counts rounded half to even and at least 1 (quirks: Training).
 *
 * @throws Error for rows of different lengths, and RangeError for a region of tokens that are not a square grid.
 */
export function showoMasking(
  tokens: readonly (readonly number[])[],
  config: ShowoMaskingConfig,
  draws: ShowoMaskingDraws,
): ShowoMasking {
  const { noiseType = 'mask', predictAllTokens = false, contiguousRegionProbability } = config;
  const length = tokens[0]?.length ?? 0;
  const uneven = tokens.find((row) => row.length !== length);
  if (uneven) throw new Error(`showoMasking: rows of ${length} and ${uneven.length} tokens, expected equal lengths`);

  const maskProbability = maskProbabilities(tokens.length, config, draws);
  const counts = Array.from(maskProbability, (p) => Math.max(1, roundHalfToEven(Math.fround(length * p))));
  const contiguous = contiguousRegionProbability !== undefined && draws.random() < contiguousRegionProbability;
  const uniforms = contiguous ? null : draws.positions();
  const masks = counts.map((count, b) =>
    uniforms ? argsortMask(length, count, b, uniforms) : contiguousRegion(length, count, draws.randint),
  );

  const everyToken = predictAllTokens || noiseType === 'random_replace';
  return {
    inputIds: tokens.map((row, b) => row.map((id, i) => (masks[b]![i] ? config.maskId : id))),
    labels: tokens.map((row, b) => row.map((id, i) => (everyToken || masks[b]![i] ? id : ignoreLabel))),
    maskProbability,
    lossWeight: everyToken
      ? masks.map((mask, b) => Float32Array.from(mask, (m) => showoLossWeight(m, maskProbability[b]!)))
      : null,
  };
}

/** 1 for a masked token, 1 − 0.7·(1 − mask rate) for another, in float32. */
function showoLossWeight(masked: number, rate: number): number {
  const f = Math.fround;
  return masked ? 1 : f(1 - f(f(1 - rate) * f(0.7)));
}

function maskProbabilities(batch: number, config: ShowoMaskingConfig, draws: ShowoMaskingDraws): Float32Array {
  const { training = true, evalMaskRatios, minMaskingRate = 0 } = config;
  if (!training && evalMaskRatios) return Float32Array.from(draws.choices(evalMaskRatios, batch));
  const timesteps_B = draws.timesteps();
  return Float32Array.from({ length: batch }, (_, b) =>
    Math.max(minMaskingRate, maskRatioFloat32(config.schedule, timesteps_B[b]!)),
  );
}

function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

function argsortMask(length: number, count: number, row: number, uniforms: ArrayLike<number>): Uint8Array {
  const order = Array.from({ length }, (_, i) => i);
  order.sort((a, b) => uniforms[row * length + a]! - uniforms[row * length + b]!);
  return Uint8Array.from(order, (position) => Number(position < count));
}

/** Rectangle of about `count` tokens on the square grid: never fewer unless the grid ends. */
function contiguousRegion(
  length: number,
  count: number,
  randint: (low: number, high: number) => number,
): Uint8Array {
  const side = Math.floor(Math.sqrt(length));
  if (side * side !== length)
    throw new RangeError(`showoMasking: ${length} tokens are no square grid; contiguous regions need one`);
  const height = randint(Math.ceil(count / side), Math.min(side, count));
  const width = Math.min(side, Math.ceil(count / height));
  const top = randint(0, side - height);
  const left = randint(0, side - width);
  return Uint8Array.from({ length }, (_, i) => {
    const [y, x] = [Math.floor(i / side) - top, (i % side) - left];
    return Number(y >= 0 && y < height && x >= 0 && x < width);
  });
}
