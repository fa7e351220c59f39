import { feedForward } from '@unif2ace/core';
import {
  buildModel,
  denseExperts,
  FlatState,
  float32,
  gemm,
  gradients,
  input,
  mul,
  ParamScope,
  Philox,
  reduceSum,
  routeTopK,
  softmax,
  sparseExperts,
} from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import type { BenchCase } from '../case.ts';

interface Sizes {
  tokens: number;
  width: number;
  hidden: number;
  experts: number;
  topK: number;
}

/** Router and experts, forward and all gradients: sparse dispatch, or every expert on every token. */
export async function moe(
  { tokens, width, hidden, experts, topK }: Sizes,
  way: 'sparse' | 'dense',
): Promise<BenchCase> {
  const scope = new ParamScope();
  const x = input('x', [tokens, width]);
  const router = scope.param('router', [experts, width], { kind: 'normal', std: width ** -0.5 });
  const routing = routeTopK(softmax(gemm(x, router, null, { transB: true })), topK);
  const run = way === 'sparse' ? sparseExperts : denseExperts;
  const y = run(x, routing, experts, (rows, e) => feedForward(scope.at('experts').at(e), 'gelu', rows, hidden));
  const loss = reduceSum(mul(y, input('dy', [tokens, width])));
  const specs = scope.specs();
  const [dx, ...dParameters] = gradients(loss, [x, ...scope.tensors()]);
  const outputs = { dx: dx!, ...Object.fromEntries(dParameters.map((d, i) => [`grad.${specs[i]!.name}`, d])) };
  const session = await directRuntime().createSession(buildModel(outputs));
  const state = new FlatState(specs).initialize(1);
  const random = new Philox(7);
  const draw = () =>
    float32(
      Float32Array.from({ length: tokens * width }, () => random.normal()),
      [tokens, width],
    );
  const feeds = { ...state.feeds(), x: draw(), dy: draw() };
  const dX = new Float32Array(tokens * width);
  const fetches = { dx: float32(dX, [tokens, width]), ...state.fetches('grad.') };
  return {
    run: async () => {
      await session.run(feeds, fetches);
      return dX.reduce((sum, g) => sum + g * g, 0) / dX.length;
    },
    close: () => session.release(),
  };
}
