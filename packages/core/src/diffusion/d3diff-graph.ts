import {
  exp,
  gatherElements,
  gemm,
  linearCrossEntropy,
  log,
  reduceMax,
  reduceSum,
  reshape,
  slice,
  softmax,
  sub,
  type Tensor,
} from '@unif2ace/graph';

// N token rows, D width, V image codes, A whole vocabulary

/** How the network's output becomes a score (paper §1.6, consequence 3). */
export type ScoreParameterization = 'normalized' | 'fullVocabulary' | 'unnormalized';

/** Rows of the output head that belong to image codes. */
export interface CodeHead {
  weight_AD: Tensor;
  bias_A: Tensor;
  codeOffset: number;
  codes: number;
}

/** Head restricted to image codes: weight [V, D] and bias [V]. */
export function codeRows({ weight_AD, bias_A, codeOffset, codes }: CodeHead): { weight_VD: Tensor; bias_V: Tensor } {
  return {
    weight_VD: slice(weight_AD, 0, codeOffset, codeOffset + codes),
    bias_V: slice(bias_A, 0, codeOffset, codeOffset + codes),
  };
}

/** Logits over the image codes: [N, V]. */
export function codeLogits(hidden_ND: Tensor, head: CodeHead): Tensor {
  const { weight_VD, bias_V } = codeRows(head);
  return gemm(hidden_ND, weight_VD, bias_V, { transB: true });
}

/** −log p(x0_i | xt) over the image codes, per row. Both terms of D3Diff are weighted sums of it (paper §1.5). */
export function maskedTokenLoss(hidden_ND: Tensor, head: CodeHead, targets_N: Tensor): Tensor {
  const { weight_VD, bias_V } = codeRows(head);
  return linearCrossEntropy(hidden_ND, weight_VD, bias_V, targets_N);
}

/**
 * Score-entropy term per row over r, to be weighted by w(k). `normalized` is the cross-entropy itself; the others leave
 * the normalised family, so that the term is no mere re-weighting.
 */
export function scoreTokenLoss(
  hidden_ND: Tensor,
  head: CodeHead,
  targets_N: Tensor,
  parameterization: ScoreParameterization,
): Tensor {
  if (parameterization === 'normalized') return maskedTokenLoss(hidden_ND, head, targets_N);
  const rows = hidden_ND.dim(0);
  const picked = (logits_NV: Tensor) => reshape(gatherElements(logits_NV, reshape(targets_N, [rows, 1]), 1), [rows]);
  const logits_NV = codeLogits(hidden_ND, head);
  if (parameterization === 'unnormalized') return sub(sub(reduceSum(exp(logits_NV), 1), picked(logits_NV)), 1);
  const logits_NA = gemm(hidden_ND, head.weight_AD, head.bias_A, { transB: true });
  const probabilities_NA = softmax(logits_NA);
  const logSumExp_N = sub(reduceMax(logits_NA, 1), log(reduceMax(probabilities_NA, 1)));
  const mass_N = reduceSum(slice(probabilities_NA, 1, head.codeOffset, head.codeOffset + head.codes), 1);
  return sub(sub(mass_N, sub(picked(logits_NV), logSumExp_N)), 1);
}
