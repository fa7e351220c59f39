import { abs, add, exp, log, maximum, mul, neg, reduceMean, sub, type Tensor } from '@unif2ace/graph';

/** Mean binary cross-entropy of logits: softplus(l) − y·l. */
export function binaryCrossEntropy(logits: Tensor, labels: Tensor): Tensor {
  const softplus = add(maximum(logits, 0), log(add(exp(neg(abs(logits))), 1)));
  return reduceMean(sub(softplus, mul(labels, logits)));
}
