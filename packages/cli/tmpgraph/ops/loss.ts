import { formatShape, ShapeError } from '../shape.ts';
import { type Tensor, withGradient } from '../tensor.ts';
import { softmax } from './activation.ts';
import { log, mul, neg, sub } from './elementwise.ts';
import { gather, gatherElements, scatterAddRows, scatterElements } from './indexing.ts';
import { reshape } from './layout.ts';
import { gemm } from './linalg.ts';
import { reduceMax } from './reduce.ts';

// N rows, V classes, D width

/** Probabilities and −log p[target] per row; the log-sum-exp comes from the largest probability, which never underflows. */
function rowLoss(logits_NV: Tensor, targets_N: Tensor): { probabilities_NV: Tensor; loss_N: Tensor } {
  const rows = logits_NV.dim(0);
  if (logits_NV.rank !== 2 || targets_N.rank !== 1 || targets_N.shape[0] !== rows)
    throw new ShapeError(
      `crossEntropy: expected logits [N, V] and targets [N], got ${formatShape(logits_NV.shape)} and ${formatShape(targets_N.shape)}`,
    );
  const probabilities_NV = softmax(logits_NV);
  const logSumExp_N = sub(reduceMax(logits_NV, 1), log(reduceMax(probabilities_NV, 1)));
  const picked_N = reshape(gatherElements(logits_NV, reshape(targets_N, [rows, 1]), 1), [rows]);
  return { probabilities_NV, loss_N: sub(logSumExp_N, picked_N) };
}

/** −log softmax(logits)[target] of each row, natural logarithm: [N]. Targets are int32 or int64 in 0..V−1. */
export function crossEntropy(logits_NV: Tensor, targets_N: Tensor): Tensor {
  const { probabilities_NV, loss_N } = rowLoss(logits_NV, targets_N);
  const rows = logits_NV.dim(0);
  return withGradient(loss_N, [logits_NV], (dLoss_N) => {
    const weight_N1 = reshape(dLoss_N, [rows, 1]);
    return [scatterElements(mul(probabilities_NV, weight_N1), reshape(targets_N, [rows, 1]), neg(weight_N1), 1, 'add')];
  });
}

/**
 * Cross-entropy of the classifier x·Wᵀ + b in one step: [N]. Its gradient never touches the N×V matrix beyond the
 * probabilities: row weights and the one-hot part act on N×D and V×D only, which saves three passes over N×V.
 */
export function linearCrossEntropy(x_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | null, targets_N: Tensor): Tensor {
  const [rows, classes] = [x_ND.dim(0), weight_VD.dim(0)];
  const { probabilities_NV, loss_N } = rowLoss(gemm(x_ND, weight_VD, bias_V, { transB: true }), targets_N);
  const gradInputs = bias_V ? [x_ND, weight_VD, bias_V] : [x_ND, weight_VD];
  return withGradient(loss_N, gradInputs, (dLoss_N) => {
    const weight_N1 = reshape(dLoss_N, [rows, 1]);
    const weighted_ND = mul(x_ND, weight_N1);
    const dx = mul(sub(gemm(probabilities_NV, weight_VD, null), gather(weight_VD, targets_N)), weight_N1);
    const dWeight = sub(
      gemm(probabilities_NV, weighted_ND, null, { transA: true }),
      scatterAddRows(weighted_ND, targets_N, classes),
    );
    if (!bias_V) return [dx, dWeight];
    const dBias_V1 = sub(
      gemm(probabilities_NV, weight_N1, null, { transA: true }),
      scatterAddRows(weight_N1, targets_N, classes),
    );
    return [dx, dWeight, reshape(dBias_V1, [classes])];
  });
}
