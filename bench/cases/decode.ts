import { denseLayer, normLayer, phiMlp } from '@unif2ace/core';
import {
  add,
  attention,
  buildModel,
  concat,
  FlatState,
  float32,
  input,
  ParamScope,
  Philox,
  reshape,
  type Tensor,
  type TensorValues,
} from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import type { BenchCase } from '../case.ts';

interface Sizes {
  layers: number;
  width: number;
  heads: number;
  kept: number;
}

/** One token through pre-norm layers with kept keys and values; distinct weights in every layer, written into the model. */
export async function decode({ layers, width, heads, kept }: Sizes): Promise<BenchCase> {
  const scope = new ParamScope();
  const head = width / heads;
  const past = [1, heads, kept - 1, head];
  const std = width ** -0.5;
  let x: Tensor = input('x', [1, width]);
  const outputs: Record<string, Tensor> = {};
  for (let layer = 0; layer < layers; layer++) {
    const block = scope.at(layer);
    const normal = normLayer(block.at('norm1'), x, 1e-5);
    const split = (name: string) => reshape(denseLayer(block.at(name), normal, width, { std }), [1, heads, 1, head]);
    const [k, v] = [split('k'), split('v')];
    outputs[`k${layer}`] = k;
    outputs[`v${layer}`] = v;
    const mixed = attention(
      split('q'),
      concat([input(`past.k${layer}`, past), k], 2),
      concat([input(`past.v${layer}`, past), v], 2),
      null,
    );
    x = add(x, denseLayer(block.at('out'), reshape(mixed, [1, width]), width, { std }));
    x = add(x, phiMlp(block, normLayer(block.at('norm2'), x, 1e-5), 4 * width));
  }
  const specs = scope.specs();
  const state = new Map(
    specs.map((spec) => [
      spec.name,
      new FlatState([spec]).initialize(1).params.slice(
        0,
        spec.shape.reduce((a, b) => a * b, 1),
      ),
    ]),
  );
  const session = await directRuntime().createSession(buildModel({ y: x, ...outputs }, { parameters: state }));
  state.clear();
  const random = new Philox(7);
  const draw = (shape: number[]) =>
    float32(
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.uniform() - 0.5),
      shape,
    );
  const feeds: TensorValues = { x: draw([1, width]) };
  for (let layer = 0; layer < layers; layer++)
    for (const kind of ['k', 'v']) feeds[`past.${kind}${layer}`] = draw(past);
  return {
    run: async () => {
      const { y } = await session.run(feeds);
      return (y!.data as Float32Array).reduce((sum, value) => sum + value * value, 0) / width;
    },
    close: () => session.release(),
  };
}
