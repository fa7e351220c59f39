import { mul, type ParamScope, split, swish, type Tensor } from '@unif2ace/graph';
import { denseLayer } from '../linear.ts';
import { phiMlp } from '../phi.ts';

/**
 * Feed-forward form of an expert: `gelu` is Phi's fc1/fc2 with biases, `swiglu` DeepSeek's gate/up/down without,
 * `fusedSwiglu` MoE++'s with gate and up in one matrix.
 */
export type ExpertForm = 'gelu' | 'swiglu' | 'fusedSwiglu';

/** Expert network on rows [n, D] (n may be known at run time only) → [n, D]. */
export function feedForward(scope: ParamScope, form: ExpertForm, rows_nD: Tensor, hidden: number): Tensor {
  if (form === 'gelu') return phiMlp(scope, rows_nD, hidden);
  const width = rows_nD.dim(1);
  const project = (name: string, x: Tensor, outputs: number) => denseLayer(scope.at(name), x, outputs, { bias: false });
  if (form === 'swiglu')
    return project(
      'down_proj',
      mul(swish(project('gate_proj', rows_nD, hidden)), project('up_proj', rows_nD, hidden)),
      width,
    );
  const [gate, up] = split(project('up_proj', rows_nD, 2 * hidden), [hidden, hidden], 1);
  return project('down_proj', mul(swish(gate!), up!), width);
}
