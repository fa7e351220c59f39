import { formatShape, ShapeError } from '../shape.ts';
import { constant, type Tensor } from '../tensor.ts';
import { softmax } from './activation.ts';
import { add, mul } from './elementwise.ts';
import { gather } from './indexing.ts';
import { swapLast } from './layout.ts';
import { matmul } from './linalg.ts';

// B batch, H heads, L queries, S keys, d head width

/**
 * Attention probabilities softmax(q·kᵀ/√d + mask): [B, H, L, S].
 * `mask` is additive and broadcasts to [B, H, L, S]; a row that hides all keys attends evenly.
 */
export function attentionWeights(q_BHLd: Tensor, k_BHSd: Tensor, mask: Tensor | null, scale?: number): Tensor {
  const width = q_BHLd.dim(q_BHLd.rank - 1);
  if (q_BHLd.rank < 2 || k_BHSd.shape[k_BHSd.rank - 1] !== width)
    throw new ShapeError(
      `attention: queries ${formatShape(q_BHLd.shape)} do not fit keys ${formatShape(k_BHSd.shape)}`,
    );
  // scaling the queries touches fewer elements than scaling the scores
  const scores_BHLS = matmul(mul(q_BHLd, scale ?? 1 / Math.sqrt(width)), swapLast(k_BHSd));
  return softmax(mask ? add(scores_BHLS, mask) : scores_BHLS);
}

/** Scaled dot-product attention softmax(q·kᵀ/√d + mask)·v: [B, H, L, d]. */
export function attention(q_BHLd: Tensor, k_BHSd: Tensor, v_BHSd: Tensor, mask: Tensor | null, scale?: number): Tensor {
  return matmul(attentionWeights(q_BHLd, k_BHSd, mask, scale), v_BHSd);
}

export interface RotaryTables {
  cos_Pd: Tensor;
  sin_Pd: Tensor;
  /** x·R swaps and negates the halves of the rotated part ("rotate_half"). */
  rotate_dd: Tensor;
}

/**
 * Constants for rotary position embeddings over the first `rotaryDims` of `headDims` dimensions, half-split layout
 * (Su et al. 2021, as Phi has it). Angles are computed in Float64 from float32 frequencies as PyTorch does.
 */
export function rotaryTables(positions: number, headDims: number, rotaryDims: number, theta: number): RotaryTables {
  if (rotaryDims % 2 !== 0 || rotaryDims > headDims)
    throw new ShapeError(`rotaryTables: ${rotaryDims} rotary dimensions do not fit heads of ${headDims}`);
  const half = rotaryDims / 2;
  const cos = new Float32Array(positions * headDims).fill(1);
  const sin = new Float32Array(positions * headDims);
  const rotate = new Float32Array(headDims * headDims);
  for (let j = 0; j < half; j++) {
    const frequency = Math.fround(1 / theta ** ((2 * j) / rotaryDims));
    for (let p = 0; p < positions; p++) {
      const angle = Math.fround(p * frequency);
      for (const dim of [j, j + half]) {
        cos[p * headDims + dim] = Math.cos(angle);
        sin[p * headDims + dim] = Math.sin(angle);
      }
    }
    rotate[(j + half) * headDims + j] = -1;
    rotate[j * headDims + j + half] = 1;
  }
  return {
    cos_Pd: constant(cos, [positions, headDims]),
    sin_Pd: constant(sin, [positions, headDims]),
    rotate_dd: constant(rotate, [headDims, headDims]),
  };
}

/** Table rows of the given positions [L], or of 0..P−1 when null. */
export function rotaryAt(tables: RotaryTables, positions_L: Tensor | null): RotaryTables {
  if (!positions_L) return tables;
  return { ...tables, cos_Pd: gather(tables.cos_Pd, positions_L), sin_Pd: gather(tables.sin_Pd, positions_L) };
}

/** Rotates x_BHLd by its positions: x·cos + rotate_half(x)·sin. */
export function rotary(x_BHLd: Tensor, tables: RotaryTables): Tensor {
  return add(mul(x_BHLd, tables.cos_Pd), mul(matmul(x_BHLd, tables.rotate_dd), tables.sin_Pd));
}
