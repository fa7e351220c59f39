import { normalizeAxis } from '../shape.ts';
import { apply1, type Tensor, withGradient } from '../tensor.ts';
import { abs, add, erf, exp, log, maximum, mul, neg, sigmoid, sub } from './elementwise.ts';
import { reduceSum } from './reduce.ts';

/** x·σ(x), also called SiLU. */
export function swish(x: Tensor): Tensor {
  const gate = sigmoid(x);
  const y: Tensor = withGradient(mul(x, gate), [x], (dy) => [
    // d/dx x·σ = σ + y·(1 − σ)
    mul(dy, add(gate, mul(y, sub(1, gate)))),
  ]);
  return y;
}

/** x·σ(1.702 x), CLIP's approximation of GELU. */
export function quickGelu(x: Tensor): Tensor {
  return mul(x, sigmoid(mul(x, 1.702)));
}

/** Exact GELU, x·Φ(x). */
export function geluErf(x: Tensor): Tensor {
  const y = apply1({ op: 'Gelu', inputs: [x], shape: x.shape, dtype: x.dtype });
  return withGradient(y, [x], (dy) => {
    const cdf = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
    const density = mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return [mul(dy, add(cdf, mul(x, density)))];
  });
}

const tanhScale = Math.sqrt(2 / Math.PI);
const tanhCubic = 0.044715;

/** GELU by tanh ("gelu_new"): x·σ(2u) with u = √(2/π)(x + 0.044715 x³). */
export function geluTanh(x: Tensor): Tensor {
  const y = apply1({
    op: 'Gelu',
    inputs: [x],
    shape: x.shape,
    dtype: x.dtype,
    attributes: { approximate: { kind: 'string', value: 'tanh' } },
  });
  return withGradient(y, [x], (dy) => {
    // with v = 2u: x·dv/dx = 3v − 4√(2/π)·x = x·(2√(2/π) + 6√(2/π)·0.044715·x²)
    const x2 = mul(x, x);
    const gate = sigmoid(mul(x, add(mul(x2, 2 * tanhScale * tanhCubic), 2 * tanhScale)));
    const slope = mul(x, add(mul(x2, 6 * tanhScale * tanhCubic), 2 * tanhScale));
    return [mul(dy, mul(gate, add(mul(sub(1, gate), slope), 1)))];
  });
}

/** log(1 + eˣ), without overflow. */
export function softplus(x: Tensor): Tensor {
  const y = add(maximum(x, 0), log(add(exp(neg(abs(x))), 1)));
  return withGradient(y, [x], (dy) => [mul(dy, sigmoid(x))]);
}

/** Softmax along `axis`. */
export function softmax(x: Tensor, axis = -1): Tensor {
  const at = normalizeAxis(axis, x.shape, 'softmax');
  const y: Tensor = apply1({
    op: 'Softmax',
    inputs: [x],
    shape: x.shape,
    dtype: x.dtype,
    attributes: { axis: { kind: 'int', value: at } },
    vjp: ([dy]) => [mul(y, sub(dy!, reduceSum(mul(dy!, y), at, true)))],
  });
  return y;
}

/** log softmax along `axis`. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  const at = normalizeAxis(axis, x.shape, 'logSoftmax');
  const y: Tensor = apply1({
    op: 'LogSoftmax',
    inputs: [x],
    shape: x.shape,
    dtype: x.dtype,
    attributes: { axis: { kind: 'int', value: at } },
    vjp: ([dy]) => [sub(dy!, mul(exp(y), reduceSum(dy!, at, true)))],
  });
  return y;
}
