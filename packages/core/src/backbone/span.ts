import { concat, slice, type Tensor } from '@unif2ace/graph';

// B batch, L sequence, N positions of the span, D hidden

/** x with its positions from `start` on replaced by `span_BND`. */
export function replaceSpan(x_BLD: Tensor, start: number, span_BND: Tensor): Tensor {
  const [length, end] = [x_BLD.dim(1), start + span_BND.dim(1)];
  const pieces = [span_BND];
  if (start > 0) pieces.unshift(slice(x_BLD, 1, 0, start));
  if (end < length) pieces.push(slice(x_BLD, 1, end, length));
  return concat(pieces, 1);
}
