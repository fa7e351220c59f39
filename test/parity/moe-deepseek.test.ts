import { RouterConfig, tokenMoe } from '@unif2ace/core';
import { add, constant, gatesByExpert, gradients, input, mul, ParamScope, reduceSum } from '@unif2ace/graph';
import { describe, expect, test } from 'vitest';
import { expectClose, expectGradClose, loadFixture, type Tolerance } from './fixture.ts';
import { float32, parameterGradients, runGraph } from './run.ts';
import { gradientFloor } from './tolerance.ts';

interface Variant {
  name: string;
  norm_topk_prob: boolean;
  seq_aux: boolean;
  aux_loss_alpha: number;
  routed_scaling_factor: number;
  topk_method: 'greedy' | 'group_limited_greedy';
  n_group: number;
  topk_group: number;
}
interface Json {
  config: Record<
    'hidden' | 'moe_intermediate_size' | 'n_routed_experts' | 'num_experts_per_tok' | 'n_shared_experts',
    number
  > & { variants: Variant[] };
  tolerance: { 'outputs.*': Tolerance };
}

const fixture = loadFixture<Json>('moe-deepseek');
const { config, tolerance } = fixture.json;
const floor = gradientFloor(tolerance);

describe.each(['sparse', 'dense'] as const)('DeepSeek mixture of experts, %s', (mode) => {
  test.each(config.variants)('$name', async (variant) => {
    const scope = new ParamScope();
    const x = input('x', fixture.shape('inputs.x'));
    const experts = config.n_routed_experts;
    const out = tokenMoe(
      scope,
      {
        router: RouterConfig.parse({
          experts,
          topK: config.num_experts_per_tok,
          normalize: variant.norm_topk_prob,
          scale: variant.routed_scaling_factor,
          groups:
            variant.topk_method === 'group_limited_greedy'
              ? { count: variant.n_group, kept: variant.topk_group }
              : null,
        }),
        routedHidden: config.moe_intermediate_size,
        sharedHidden: config.moe_intermediate_size * config.n_shared_experts,
        form: 'swiglu',
        balancePerSequence: variant.seq_aux,
      },
      x,
      { mode },
    );
    const aux = mul(out.balance, variant.aux_loss_alpha);
    const cotangent = constant(fixture.f32('inputs.cotangent'), fixture.shape('inputs.cotangent'));
    const loss = add(reduceSum(mul(out.y_BLD, cotangent)), aux);
    const got = await runGraph(
      {
        y: out.y_BLD,
        aux,
        scores: out.scores_TE,
        dense: gatesByExpert(out.routing, experts),
        indices: out.routing.indices_TK,
        gates: out.routing.gates_TK,
        ...parameterGradients(loss, scope),
        'grad.x': gradients(loss, [x])[0]!,
      },
      { x: float32(fixture.f32('inputs.x'), fixture.shape('inputs.x')) },
      fixture.weights(),
    );
    const close = tolerance['outputs.*'];
    const prefix = `outputs.${variant.name}`;
    expectClose(got.scores!, fixture.f32('outputs.scores'), close, 'scores');
    expectClose(got.y!, fixture.f32(`${prefix}.y`), close, 'y');
    expectClose(got.aux!, fixture.f32(`${prefix}.aux_loss`), close, 'aux_loss');
    expectClose(got.dense!, fixture.f32(`${prefix}.dense`), close, 'dense');
    const k = config.num_experts_per_tok;
    const sortedRows = (values: ArrayLike<number>) =>
      Array.from({ length: values.length / k }, (_, t) =>
        Array.from(values)
          .slice(t * k, t * k + k)
          .sort((a, b) => a - b),
      );
    expect(sortedRows(got.indices!)).toEqual(sortedRows(fixture.ints(`${prefix}.indices`)));
    expectClose(sortedRows(got.gates!).flat(), sortedRows(fixture.f32(`${prefix}.weights`)).flat(), close, 'weights');
    const grads = fixture.names(`grads.${variant.name}.`);
    expect(grads.length).toBe(scope.specs().length + 1);
    for (const key of grads)
      expectGradClose(got[`grad.${key.slice(`grads.${variant.name}.`.length)}`]!, fixture.f32(key), floor, key);
  });
});
