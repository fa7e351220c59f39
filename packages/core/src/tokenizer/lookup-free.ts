import {
  abs,
  add,
  cast,
  constant,
  div,
  exp,
  greater,
  log,
  matmul,
  maximum,
  mul,
  neg,
  reduceMean,
  reduceSum,
  reshape,
  scalar,
  sigmoid,
  square,
  stopGradient,
  straightThrough,
  sub,
  swapLast,
  type Tensor,
  tanh,
  transpose,
} from '@unif2ace/graph';
import type { MagvitConfig } from './magvit.ts';

// B batch, C bits of a position, G codes of a position, h × w grid, N = h·w·G codes

/** Bit weights of an index: channel 0 is the most significant bit (quirks: MAGVIT-v2). */
function bitWeights(bits: number): number[] {
  return Array.from({ length: bits }, (_, c) => 2 ** (bits - 1 - c));
}

/**
 * Code number of bits 0 or 1, most significant first; the graph-free form of `lookupFreeQuantize`.
 * @throws RangeError when there are more than 30 bits or a value is neither 0 nor 1.
 */
export function bitsToIndex(bits: ArrayLike<number>): number {
  if (bits.length > 30) throw new RangeError(`bitsToIndex: expected at most 30 bits, got ${bits.length}`);
  return Array.from(bits).reduce((index, bit, c) => {
    if (bit !== 0 && bit !== 1) throw new RangeError(`bitsToIndex: expected 0 or 1 at bit ${c}, got ${bit}`);
    return 2 * index + bit;
  }, 0);
}

/**
 * Bits of a code number, most significant first; the graph-free form of `codebookEntry`, with 0 for −1.
 * @throws RangeError when the index is no code of that many bits.
 */
export function indexToBits(index: number, bits: number): number[] {
  if (!Number.isInteger(index) || index < 0 || index >= 2 ** bits)
    throw new RangeError(`indexToBits: expected an integer in 0 … ${2 ** bits - 1} for ${bits} bits, got ${index}`);
  return bitWeights(bits).map((weight) => Math.floor(index / weight) % 2);
}

export interface Quantized {
  /** ±1 codes with a straight-through gradient, [B, C, h, w]. */
  codes_BCHW: Tensor;
  /** Code numbers, int32 [B, h·w·G], row by row, the codes of a position one after the other. */
  indices_BN: Tensor;
}

/**
 * Lookup-free quantisation: bit c is 1 where z_c > 0, the code is ±1, index = Σ 2^(C−1−c)·bit_c.
 * @param groups codes that the bits of a position are split into, first bits first.
 */
export function lookupFreeQuantize(z_BCHW: Tensor, groups = 1): Quantized {
  const [batch, channels, height, width] = [0, 1, 2, 3].map((axis) => z_BCHW.dim(axis)) as [
    number,
    number,
    number,
    number,
  ];
  const bits = channels / groups;
  const bit_BCHW = cast(greater(z_BCHW, 0), 'int32');
  const weights = constant(Int32Array.from(bitWeights(bits)), [1, 1, bits, 1, 1]);
  const index_BGhw = reduceSum(mul(reshape(bit_BCHW, [batch, groups, bits, height, width]), weights), 2);
  const indices_BN = reshape(transpose(index_BGhw, [0, 2, 3, 1]), [batch, height * width * groups]);
  const signs_BCHW = sub(mul(cast(bit_BCHW, 'float32'), 2), 1);
  return { codes_BCHW: straightThrough(signs_BCHW, z_BCHW), indices_BN };
}

/**
 * ±1 codes [B, G·bits, h, w] of code numbers int32 [B, h·w·G].
 * @param bits of one code.
 */
export function codebookEntry(indices_BN: Tensor, bits: number, grid: readonly [number, number]): Tensor {
  const [batch, tokens] = [indices_BN.dim(0), indices_BN.dim(1)];
  const positions = grid[0] * grid[1];
  const channels = (bits * tokens) / positions;
  const weights = constant(Int32Array.from(bitWeights(bits)), [1, 1, bits]);
  const shifted = div(reshape(indices_BN, [batch, tokens, 1]), weights);
  // integer division truncates: x − 2·(x/2) is the lowest bit
  const two = constant(Int32Array.of(2), []);
  const bit_BNC = sub(shifted, mul(div(shifted, two), two));
  const signs_BNC = sub(mul(cast(bit_BNC, 'float32'), 2), 1);
  const signs_BPC = reshape(signs_BNC, [batch, positions, channels]);
  return reshape(transpose(signs_BPC, [0, 2, 1]), [batch, channels, ...grid]);
}

export interface QuantizerLosses {
  commitment: Tensor;
  entropy: Tensor;
  /** Mean squared correlation of two bits over all tokens; 0 without `decorrelationWeight`. */
  decorrelation: Tensor;
}

/** Mean over pairs of different bits of their squared mean product. */
function bitCorrelation(z_BCHW: Tensor): Tensor {
  const [batch, bits, height, width] = [0, 1, 2, 3].map((axis) => z_BCHW.dim(axis)) as [number, number, number, number];
  const tokens = batch * height * width;
  const soft_TC = reshape(transpose(tanh(mul(z_BCHW, 2)), [0, 2, 3, 1]), [tokens, bits]);
  const product_CC = mul(matmul(swapLast(soft_TC), soft_TC), 1 / tokens);
  const own_C = reduceMean(square(soft_TC), 0);
  const pairs = Math.max(1, bits * (bits - 1));
  return mul(sub(reduceSum(square(product_CC)), reduceSum(square(own_C))), 1 / pairs);
}

/**
 * The original's losses, weights included. The second commitment term is not detached from z there, so β reduces the
 * pull: the gradient is 2(1 − β)(z − q)/n (quirks: MAGVIT-v2). Entropy is per bit, of a two-way softmax of −(z ∓ 1)²:
 * mean entropy minus entropy of the mean over all tokens. That makes each bit useful but lets bits repeat each other; ours
 * is a further term, of which the original has none: their correlation (as soft signs tanh 2z), so that more codes are used.
 */
export function quantizerLosses(config: MagvitConfig, z_BCHW: Tensor, codes_BCHW: Tensor): QuantizerLosses {
  const toCode = reduceMean(square(sub(stopGradient(codes_BCHW), z_BCHW)));
  const toFeature = reduceMean(square(sub(codes_BCHW, stopGradient(z_BCHW))));
  const commitment = mul(add(toCode, mul(toFeature, config.commitmentBeta)), config.commitmentWeight);
  const logit_BCHW = mul(z_BCHW, 4);
  // entropy of a bit from its logit l, log(1 + e^−|l|) + |l|·σ(−|l|): no overflow, and smooth at 0 where |l| is not
  const size_BCHW = abs(logit_BCHW);
  const opposite_BCHW = neg(size_BCHW);
  const meanEntropy = reduceMean(add(log(add(exp(opposite_BCHW), 1)), mul(size_BCHW, sigmoid(opposite_BCHW))));
  const mean_C = reduceMean(sigmoid(logit_BCHW), [0, 2, 3]);
  const plogp = (p: Tensor) => mul(p, log(maximum(p, 1e-30)));
  const entropyOfMean = neg(reduceMean(add(plogp(mean_C), plogp(sub(1, mean_C)))));
  const entropy = mul(sub(meanEntropy, entropyOfMean), config.entropyWeight);
  if (config.decorrelationWeight === 0) return { commitment, entropy, decorrelation: scalar(0) };
  return { commitment, entropy, decorrelation: mul(bitCorrelation(z_BCHW), config.decorrelationWeight) };
}
