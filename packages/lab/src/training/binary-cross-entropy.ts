import { mul, reduceMean, softplus, sub, type Tensor } from '@unif2ace/graph';

/** Mean binary cross-entropy of logits: softplus(l) − y·l. */
export function binaryCrossEntropy(logits: Tensor, labels: Tensor): Tensor {
  return reduceMean(sub(softplus(logits), mul(labels, logits)));
}
