import { layerNorm, linear, type ParamScope, type Tensor } from '@unif2ace/graph';

/** Weight [out, in] and bias [out] under `weight` and `bias`, started as Phi is: N(0, 0.02²) and zeros. */
export function denseLayer(
  scope: ParamScope,
  x: Tensor,
  outputs: number,
  options: { bias?: boolean; std?: number } = {},
): Tensor {
  const inputs = x.dim(x.rank - 1);
  const weight_OI = scope.param('weight', [outputs, inputs], { kind: 'normal', std: options.std ?? 0.02 });
  const bias_O = options.bias === false ? null : scope.param('bias', [outputs], { kind: 'zeros' });
  return linear(x, weight_OI, bias_O);
}

/** Affine layer normalisation over the last axis under `weight` and `bias`. */
export function normLayer(scope: ParamScope, x: Tensor, epsilon: number): Tensor {
  const width = x.dim(x.rank - 1);
  return layerNorm(
    x,
    scope.param('weight', [width], { kind: 'ones' }),
    scope.param('bias', [width], { kind: 'zeros' }),
    epsilon,
  );
}
