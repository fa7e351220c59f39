import { moePlusPlus, RouterConfig } from '@unif2ace/core';
import {
  add,
  arange,
  cast,
  constant,
  equal,
  gradients,
  input,
  mul,
  ParamScope,
  reduceSum,
  reshape,
  where,
} from '@unif2ace/graph';
import { expect, test } from 'vitest';
import { expectClose, expectGradClose, loadFixture, type Tolerance } from './fixture.ts';
import { float32, parameterGradients, runGraph } from './run.ts';
import { gradientFloor } from './tolerance.ts';

interface Variant {
  name: string;
  moe_use_mixtral_gating: boolean;
  moe_2layer_gate: boolean;
  moe_use_logits_norm: boolean;
  moe_gate_norm_std: number;
  moe_feature_no_mul_topk: boolean;
}
interface Json {
  config: Record<'hidden' | 'intermediate' | 'num_experts' | 'top_k' | 'constant_experts', number> & {
    variants: Variant[];
  };
  tolerance: { 'outputs.*': Tolerance };
}

const fixture = loadFixture<Json>('moe-plus-plus');
const { config, tolerance } = fixture.json;
const floor = gradientFloor(tolerance);

test.each(config.variants)('MoE++ layer with gating residual: $name', async (variant) => {
  const experts = config.num_experts;
  const mixtral = variant.moe_use_mixtral_gating;
  const router = RouterConfig.parse({
    experts,
    topK: config.top_k,
    order: mixtral ? 'topKFirst' : 'softmaxFirst',
    normalize: !mixtral,
    gate: variant.moe_2layer_gate ? 'twoLayer' : 'linear',
    residual: true,
    logitsNormStd: variant.moe_use_logits_norm ? variant.moe_gate_norm_std : null,
    discarded: mixtral ? null : experts - 1,
  });
  const layer = {
    router,
    constantExperts: config.constant_experts,
    hidden: config.intermediate,
    inputScale: mixtral || variant.moe_feature_no_mul_topk ? 1 : config.top_k,
  };
  const scope = new ParamScope();
  const x0 = input('x0', fixture.shape('inputs.x0'));
  const x1 = input('x1', fixture.shape('inputs.x1'));
  const first = moePlusPlus(scope.at('l0').at('moe'), layer, x0);
  const second = moePlusPlus(scope.at('l1').at('moe'), layer, x1, first.routed.logits_TE);
  const weighted = (y: typeof x0, name: string) => reduceSum(mul(y, constant(fixture.f32(name), fixture.shape(name))));
  const loss = add(weighted(first.y_BLD, 'inputs.cotangent0'), weighted(second.y_BLD, 'inputs.cotangent1'));
  const [dx0, dx1] = gradients(loss, [x0, x1]);
  const outputs = {
    y0: first.y_BLD,
    y1: second.y_BLD,
    ...parameterGradients(loss, scope),
    'grad.x0': dx0!,
    'grad.x1': dx1!,
  };
  for (const [i, { routed }] of [first, second].entries()) {
    const { indices_TK, gates_TK } = routed.routing;
    const [tokens, k] = [indices_TK.dim(0), indices_TK.dim(1)];
    const hit = equal(reshape(indices_TK, [tokens, k, 1]), arange(experts, [1, 1, experts]));
    Object.assign(outputs, {
      [`logits${i}`]: routed.logits_TE,
      [`gates${i}`]: reduceSum(where(hit, reshape(gates_TK, [tokens, k, 1]), 0), 1),
      [`selected${i}`]: reduceSum(cast(hit, 'float32'), 1),
    });
  }
  const feeds = Object.fromEntries(
    ['x0', 'x1'].map((name) => [name, float32(fixture.f32(`inputs.${name}`), fixture.shape(`inputs.${name}`))]),
  );
  const got = await runGraph(outputs, feeds, fixture.weights());
  for (const key of fixture.names(`outputs.${variant.name}.`)) {
    const name = key.slice(`outputs.${variant.name}.`.length);
    if (name.startsWith('selected')) expect(Array.from(got[name]!), key).toEqual(fixture.ints(key));
    else expectClose(got[name]!, fixture.f32(key), tolerance['outputs.*'], key);
  }
  for (const key of fixture.names(`grads.${variant.name}.`)) {
    const expected = fixture.f32(key);
    // the first layer has a gate_map that nothing feeds
    const unused = key.endsWith('l0.moe.gate.gate_map.weight');
    const actual = unused
      ? new Float32Array(expected.length)
      : got[`grad.${key.slice(`grads.${variant.name}.`.length)}`]!;
    expectGradClose(actual, expected, floor, key);
  }
});
