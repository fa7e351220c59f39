import {
  buildModel,
  float32,
  gradients,
  int32,
  type ParamScope,
  type Tensor,
  type TensorValues,
} from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';

const runtime = directRuntime({ intraOpThreads: 2 });

/** Runs `outputs` on ONNX Runtime with the given parameters written into the model. */
export async function runGraph(
  outputs: Record<string, Tensor>,
  feeds: TensorValues,
  parameters: ReadonlyMap<string, Float32Array>,
): Promise<Record<string, Float32Array>> {
  const session = await runtime.createSession(buildModel(outputs, { parameters }));
  const needed = Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]!]));
  const values = await session.run(needed);
  await session.release();
  return Object.fromEntries(
    Object.entries(values).map(([name, { data }]) => [
      name,
      data instanceof Float32Array ? data : Float32Array.from(data as never, Number),
    ]),
  );
}

/** Gradients of `loss` with respect to every parameter of the scope, as outputs `grad.NAME`. */
export function parameterGradients(loss: Tensor, scope: ParamScope): Record<string, Tensor> {
  const specs = scope.specs();
  return Object.fromEntries(gradients(loss, scope.tensors()).map((d, i) => [`grad.${specs[i]!.name}`, d]));
}

export { float32, int32 };
