import { type Tensor, topologicalOrder } from '../tensor.ts';
import { type NdArray, ndarray } from './array.ts';
import { divide, kernels } from './kernels.ts';

/**
 * Values of `outputs` by textbook loops in Float64, independent of ONNX Runtime: the oracle of every operator.
 * `feeds` gives inputs and parameters by name.
 * @throws Error on a missing feed or one of the wrong size.
 */
export function evaluate(outputs: readonly Tensor[], feeds: Readonly<Record<string, ArrayLike<number>>>): NdArray[] {
  const values = new Map<number, NdArray[]>();
  for (const node of topologicalOrder(outputs)) {
    const inputs = node.inputs.map((source) => (source ? values.get(source.node.id)![source.index]! : null));
    values.set(node.id, evaluateNode(node, inputs, feeds));
  }
  return outputs.map((tensor) => values.get(tensor.node.id)![tensor.index]!);
}

function evaluateNode(
  node: Tensor['node'],
  inputs: readonly (NdArray | null)[],
  feeds: Readonly<Record<string, ArrayLike<number>>>,
): NdArray[] {
  const { shape, dtype } = node.outputs[0]!;
  if (node.op === 'Input' || node.op === 'Parameter') {
    const data = feeds[node.name!];
    if (!data) throw new Error(`evaluate: no value for ${node.outputs[0]}`);
    return [ndarray(shape as number[], Float64Array.from(data))];
  }
  if (node.op === 'Constant')
    return [ndarray(shape as number[], Float64Array.from(node.data as ArrayLike<number>, Number))];
  if (node.op === 'Alias') return inputs.map((x) => x!);
  const kernel = node.op === 'Div' ? divide(dtype !== 'float32') : kernels[node.op];
  if (!kernel) throw new Error(`evaluate: no naive kernel for ${node.op}`);
  const results = kernel(inputs, node.attributes, node.outputs.length);
  results.forEach((result, i) => {
    const expected = node.outputs[i]?.shape;
    if (expected?.some((dim, axis) => typeof dim === 'number' && dim !== result.shape[axis]))
      throw new Error(
        `evaluate: ${node.op} gave [${result.shape.join(', ')}], the graph says [${expected.join(', ')}]`,
      );
  });
  return results;
}
