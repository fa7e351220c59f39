import type { Philox } from '@unif2ace/graph';
import { ignoreLabel } from '../prompt/sequences.ts';
import { type MaskSchedule, maskRatio, maskRatioFloat32 } from './schedules.ts';

/** k of an exact-k mask: law of the number of masked tokens. */
export type MaskCountLaw = 'cosine' | 'uniform';

/** Number of masked tokens of one image: cosine λ = cos(πu/2), k = max(1, round(Lλ)), or uniform on 1..L. */
export function drawMaskCount(law: MaskCountLaw, length: number, random: Philox): number {
  if (law === 'uniform') return 1 + random.int(length);
  return Math.max(1, Math.round(length * maskRatio({ method: 'cosine' }, random.uniform())));
}

/** Random set of exactly `count` of `length` positions: 1 where masked. */
export function drawMask(count: number, length: number, random: Philox): Uint8Array {
  const masked = new Uint8Array(length);
  for (const position of random.permutation(length).subarray(0, count)) masked[position] = 1;
  return masked;
}

/** Settings of Show-o's `mask_or_random_replace_tokens`. */
export interface ShowoMaskingConfig {
  schedule: MaskSchedule;
  maskId: number;
  minMaskingRate: number;
  noiseType: 'mask' | 'random_replace';
  predictAllTokens: boolean;
  contiguousRegionProbability: number | null;
  /** Ratios drawn from in evaluation instead of the schedule. */
  evalMaskRatios: readonly number[] | null;
  training: boolean;
}

/** Supplied random numbers, so that a recorded run can be repeated. */
export interface ShowoMaskingDraws {
  /** [B] */
  timestep: ArrayLike<number>;
  /** [B·N]; unused for contiguous regions. */
  permutation: ArrayLike<number>;
  /** Python's random.random() for the choice of a contiguous region. */
  random: () => number;
  /** Python's random.randint, inclusive. */
  randint: (low: number, high: number) => number;
  /** Python's random.choices of B ratios. */
  choices: (population: readonly number[], count: number) => number[];
}

export interface ShowoMasking {
  inputIds: number[][];
  labels: number[][];
  maskProbability: Float32Array;
  /** Only with `random_replace` or `predictAllTokens`. */
  lossWeight: Float32Array[] | null;
}

/**
 * Show-o's masking, float32 steps and quirks included: `argsort(u) < count` on the order itself, counts rounded half to
 * even, `random_replace` replaces nothing but switches labels and weights (quirks: Training).
 */
export function showoMasking(
  tokens: readonly (readonly number[])[],
  config: ShowoMaskingConfig,
  draws: ShowoMaskingDraws,
): ShowoMasking {
  const length = tokens[0]!.length;
  const probability = maskProbabilities(tokens.length, config, draws);
  const contiguous = config.contiguousRegionProbability !== null && draws.random() < config.contiguousRegionProbability;
  const everyLabel = config.predictAllTokens || config.noiseType === 'random_replace';
  const result: ShowoMasking = {
    inputIds: [],
    labels: [],
    maskProbability: probability,
    lossWeight: everyLabel ? [] : null,
  };
  tokens.forEach((row, b) => {
    const count = Math.max(1, roundHalfToEven(Math.fround(length * probability[b]!)));
    const masked = contiguous
      ? contiguousRegion(length, count, draws.randint)
      : argsortMask(length, count, b, draws.permutation);
    result.inputIds.push(row.map((id, i) => (masked[i] ? config.maskId : id)));
    result.labels.push(row.map((id, i) => (everyLabel || masked[i] ? id : ignoreLabel)));
    result.lossWeight?.push(Float32Array.from(masked, (m) => showoLossWeight(m, probability[b]!)));
  });
  return result;
}

/** 1 for a masked token, 1 − 0.7·(1 − mask rate) for another, in float32. */
function showoLossWeight(masked: number, rate: number): number {
  const f = Math.fround;
  return f(1 - f(f((1 - masked) * f(1 - rate)) * f(0.7)));
}

function maskProbabilities(batch: number, config: ShowoMaskingConfig, draws: ShowoMaskingDraws): Float32Array {
  if (!config.training && config.evalMaskRatios) return Float32Array.from(draws.choices(config.evalMaskRatios, batch));
  return Float32Array.from({ length: batch }, (_, b) =>
    Math.max(config.minMaskingRate, maskRatioFloat32(config.schedule, draws.timestep[b]!)),
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

/** A rectangle of about `count` tokens on the square grid: fewer only where the grid ends. */
function contiguousRegion(length: number, count: number, randint: (low: number, high: number) => number): Uint8Array {
  const side = Math.round(Math.sqrt(length));
  const masked = new Uint8Array(length);
  const height = randint(Math.ceil(count / side), Math.min(side, count));
  const width = Math.min(side, Math.ceil(count / height));
  const startRow = randint(0, side - height);
  const startColumn = randint(0, side - width);
  for (let y = startRow; y < startRow + height; y++)
    for (let x = startColumn; x < startColumn + width; x++) masked[y * side + x] = 1;
  return masked;
}
