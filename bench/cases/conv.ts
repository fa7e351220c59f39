import {
  buildModel,
  conv2d,
  FlatState,
  float32,
  gradients,
  input,
  mul,
  ParamScope,
  Philox,
  reduceSum,
} from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import type { BenchCase } from '../case.ts';

/** 3×3 convolution with equal channels: forward and both gradients. */
export async function conv({
  batch,
  channels,
  side,
}: {
  batch: number;
  channels: number;
  side: number;
}): Promise<BenchCase> {
  const shape = [batch, channels, side, side];
  const scope = new ParamScope();
  const weight = scope.param('weight', [channels, channels, 3, 3], { kind: 'normal', std: (9 * channels) ** -0.5 });
  const x = input('x', shape);
  const y = conv2d(x, weight, null, { padding: 1 });
  const [dx, dw] = gradients(reduceSum(mul(y, input('dy', shape))), [x, weight]);
  // inside a network y and dx stay in the engine, as they do in the peer; their sums see to it that they are computed
  const sums = { y: reduceSum(y), dx: reduceSum(dx!) };
  const session = await directRuntime().createSession(buildModel({ ...sums, dw: dw! }));
  const state = new FlatState(scope.specs()).initialize(1);
  const random = new Philox(7);
  const draw = () =>
    float32(
      Float32Array.from({ length: batch * channels * side * side }, () => random.normal()),
      shape,
    );
  const feeds = { ...state.feeds(), x: draw(), dy: draw() };
  const sum = () => float32(new Float32Array(1), []);
  const dW = float32(new Float32Array(channels * channels * 9), [channels, channels, 3, 3]);
  const fetches = { y: sum(), dx: sum(), dw: dW };
  return {
    run: async () => {
      await session.run(feeds, fetches);
      return (dW.data as Float32Array).reduce((sum, g) => sum + g * g, 0) / dW.data.length;
    },
    close: () => session.release(),
  };
}
