import {
  abs,
  add,
  cast,
  constant,
  div,
  exp,
  greater,
  log,
  maximum,
  mul,
  neg,
  reduceMean,
  reduceSum,
  reshape,
  sigmoid,
  square,
  stopGradient,
  straightThrough,
  sub,
  type Tensor,
  transpose,
} from '@unif2ace/graph';
import type { MagvitConfig } from './magvit.ts';

// B batch, C code bits, h × w token grid, N = h·w tokens

/** Bit weights of an index: channel 0 is the most significant bit (quirks: MAGVIT-v2). */
function bitWeights(bits: number): number[] {
  return Array.from({ length: bits }, (_, c) => 2 ** (bits - 1 - c));
}

export interface Quantized {
  /** ±1 codes with a straight-through gradient, [B, C, h, w]. */
  codes_BCHW: Tensor;
  /** Code numbers, int32 [B, h·w], row by row. */
  indices_BN: Tensor;
}

/** Lookup-free quantisation: bit c is 1 where z_c > 0, the code is ±1, index = Σ 2^(C−1−c)·bit_c. */
export function lookupFreeQuantize(z_BCHW: Tensor): Quantized {
  const [batch, bits, height, width] = [0, 1, 2, 3].map((axis) => z_BCHW.dim(axis)) as [number, number, number, number];
  const bit_BCHW = cast(greater(z_BCHW, 0), 'int32');
  const weights = constant(Int32Array.from(bitWeights(bits)), [1, bits, 1, 1]);
  const indices_BN = reshape(reduceSum(mul(bit_BCHW, weights), 1), [batch, height * width]);
  const signs_BCHW = sub(mul(cast(bit_BCHW, 'float32'), 2), 1);
  return { codes_BCHW: straightThrough(signs_BCHW, z_BCHW), indices_BN };
}

/** ±1 codes [B, C, h, w] of code numbers int32 [B, h·w]. */
export function codebookEntry(indices_BN: Tensor, bits: number, grid: readonly [number, number]): Tensor {
  const [batch, tokens] = [indices_BN.dim(0), indices_BN.dim(1)];
  const weights = constant(Int32Array.from(bitWeights(bits)), [1, 1, bits]);
  const shifted = div(reshape(indices_BN, [batch, tokens, 1]), weights);
  // integer division truncates: x − 2·(x/2) is the lowest bit
  const two = constant(Int32Array.of(2), []);
  const bit_BNC = sub(shifted, mul(div(shifted, two), two));
  const signs_BNC = sub(mul(cast(bit_BNC, 'float32'), 2), 1);
  return reshape(transpose(signs_BNC, [0, 2, 1]), [batch, bits, ...grid]);
}

export interface QuantizerLosses {
  commitment: Tensor;
  entropy: Tensor;
}

/**
 * The original's losses, weights included. The second commitment term is not detached from z there, so β reduces the
 * pull: the gradient is 2(1 − β)(z − q)/n (quirks: MAGVIT-v2). Entropy is per bit, of a two-way softmax of −(z ∓ 1)²:
 * mean entropy minus entropy of the mean over all tokens.
 */
export function quantizerLosses(config: MagvitConfig, z_BCHW: Tensor, codes_BCHW: Tensor): QuantizerLosses {
  const toCode = reduceMean(square(sub(stopGradient(codes_BCHW), z_BCHW)));
  const toFeature = reduceMean(square(sub(codes_BCHW, stopGradient(z_BCHW))));
  const commitment = mul(add(toCode, mul(toFeature, config.commitmentBeta)), config.commitmentWeight);
  const logit_BCHW = mul(z_BCHW, 4);
  const on_BCHW = sigmoid(logit_BCHW);
  // entropy of a Bernoulli variable from its logit: softplus(l) − l·σ(l)
  const softplus = add(maximum(logit_BCHW, 0), log(add(exp(neg(abs(logit_BCHW))), 1)));
  const meanEntropy = reduceMean(sub(softplus, mul(logit_BCHW, on_BCHW)));
  const mean_C = reduceMean(on_BCHW, [0, 2, 3]);
  const plogp = (p: Tensor) => mul(p, log(maximum(p, 1e-30)));
  const entropyOfMean = neg(reduceMean(add(plogp(mean_C), plogp(sub(1, mean_C)))));
  return { commitment, entropy: mul(sub(meanEntropy, entropyOfMean), config.entropyWeight) };
}
