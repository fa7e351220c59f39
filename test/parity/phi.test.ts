import { phi, phiEmbed, phiLogits } from '@unif2ace/core';
import {
  constant,
  input,
  linearCrossEntropy,
  mul,
  ParamScope,
  reduceSum,
  reshape,
  slice,
  type Tensor,
} from '@unif2ace/graph';
import { describe, expect, test } from 'vitest';
import { expectClose, expectGradClose, loadFixture, type Tolerance } from './fixture.ts';
import { type PhiJson, phiConfigOf } from './phi-config.ts';
import { float32, int32, parameterGradients, runGraph } from './run.ts';

interface Json {
  config: { phi: PhiJson; n_txt: number };
  tolerance: {
    'outputs.*.logits': Tolerance;
    'outputs.*': Tolerance;
    grads_fp32_vs_fp64: Record<string, { global_max: number }>;
  };
}

const fixture = loadFixture<Json>('phi');
const { config: raw, tolerance } = fixture.json;
const config = phiConfigOf(raw.phi);
const weights = fixture.weights();

/** Mean cross-entropy of hidden rows [B, L, D] against labels shifted by `shift`, −100 ignored. */
function meanLoss(
  scope: ParamScope,
  hidden_BLD: Tensor,
  labels: readonly number[],
  from: number,
  shift: number,
): Tensor {
  const [batch, length, width] = [hidden_BLD.dim(0), hidden_BLD.dim(1), hidden_BLD.dim(2)];
  const rows = length - from - shift;
  const picked: number[] = [];
  for (let b = 0; b < batch; b++) for (let i = 0; i < rows; i++) picked.push(labels[b * length + from + i + shift]!);
  const count = picked.filter((label) => label !== -100).length;
  const head = scope.at('lm_head');
  const loss_N = linearCrossEntropy(
    reshape(slice(hidden_BLD, 1, from, from + rows), [batch * rows, width]),
    head.param('weight', [config.vocabSize, width], { kind: 'zeros' }),
    head.param('bias', [config.vocabSize], { kind: 'zeros' }),
    constant(
      Int32Array.from(picked, (label) => Math.max(0, label)),
      [picked.length],
    ),
  );
  const weight = Float32Array.from(picked, (label) => (label === -100 ? 0 : 1 / count));
  return reduceSum(mul(loss_N, constant(weight, [weight.length])));
}

describe('Phi of Show-o', () => {
  test.each([
    ['causal', 0, 1],
    ['t2i', 0, 0],
    ['mmu', 0, 1],
  ] as const)('%s: logits, hidden states, loss and gradients', async (name, _from, shift) => {
    const scope = new ParamScope();
    const [batch, length] = fixture.shape(`inputs.${name}.input_ids`) as [number, number];
    const ids = input('ids', [batch, length], 'int32');
    const mask = input('mask', fixture.shape(`inputs.${name}.attention_mask`));
    const { hiddenStates, attention } = phi(scope, config, phiEmbed(scope, config, ids), { mask });
    const final = hiddenStates.at(-1)!;
    const from = name === 't2i' ? raw.n_txt + 1 : 0;
    const loss = meanLoss(scope, final, fixture.ints(`inputs.${name}.labels`), from, shift);
    const outputs = {
      logits: phiLogits(scope, config, final),
      loss,
      attention: attention[0]!,
      ...Object.fromEntries(hiddenStates.map((h, i) => [`hidden_states.${i}`, h])),
      ...parameterGradients(loss, scope),
    };
    const feeds = {
      ids: int32(fixture.ints(`inputs.${name}.input_ids`), [batch, length]),
      mask: float32(fixture.f32(`inputs.${name}.attention_mask`), fixture.shape(`inputs.${name}.attention_mask`)),
    };
    const got = await runGraph(outputs, feeds, weights);
    expectClose(got.logits!, fixture.f32(`outputs.${name}.logits`), tolerance['outputs.*.logits'], 'logits');
    expectClose(got.loss!, fixture.f32(`outputs.${name}.loss`), tolerance['outputs.*'], 'loss');
    for (const key of fixture.names(`outputs.${name}.hidden_states.`))
      expectClose(got[key.slice(`outputs.${name}.`.length)]!, fixture.f32(key), tolerance['outputs.*'], key);
    if (fixture.has(`outputs.${name}.attention_layer0`)) {
      const row0 = fixture.f32(`outputs.${name}.attention_layer0`);
      expectClose(got.attention!.subarray(0, row0.length), row0, tolerance['outputs.*'], 'attention_layer0');
    }
    const grads = fixture.names(`grads.${name}.`);
    expect(grads.length).toBe(scope.specs().length);
    const floor = 1e-3 * tolerance.grads_fp32_vs_fp64[name]!.global_max;
    for (const key of grads)
      expectGradClose(got[`grad.${key.slice(`grads.${name}.`.length)}`]!, fixture.f32(key), floor, key);
  });

  test('no mask sees everything; small embeddings show the LayerNorm epsilon; padding kept visible', async () => {
    const scope = new ParamScope();
    const length = fixture.shape('inputs.causal.input_ids')[1]!;
    const logitsOf = (embeds: Tensor, mask: Tensor | null) =>
      phiLogits(scope, config, phi(scope, config, embeds, { mask }).hiddenStates.at(-1)!);
    const keepPadShape = fixture.shape('inputs.t2i.input_ids');
    const outputs = {
      nomask: logitsOf(phiEmbed(scope, config, input('ids', [1, length], 'int32')), null),
      small: logitsOf(
        input('embeds', fixture.shape('inputs.small_embeds.inputs_embeds')),
        input('mask', [1, 1, length, length]),
      ),
      keepPad: logitsOf(
        phiEmbed(scope, config, input('pad_ids', keepPadShape, 'int32')),
        input('pad_mask', fixture.shape('inputs.t2i_keep_pad.attention_mask')),
      ),
    };
    const got = await runGraph(
      outputs,
      {
        ids: int32(fixture.ints('inputs.causal.input_ids').slice(0, length), [1, length]),
        embeds: float32(
          fixture.f32('inputs.small_embeds.inputs_embeds'),
          fixture.shape('inputs.small_embeds.inputs_embeds'),
        ),
        mask: float32(fixture.f32('inputs.causal.attention_mask'), [1, 1, length, length]),
        pad_ids: int32(fixture.ints('inputs.t2i.input_ids'), keepPadShape),
        pad_mask: float32(
          fixture.f32('inputs.t2i_keep_pad.attention_mask'),
          fixture.shape('inputs.t2i_keep_pad.attention_mask'),
        ),
      },
      weights,
    );
    const atol = tolerance['outputs.*.logits'];
    expectClose(got.nomask!, fixture.f32('outputs.nomask_eager.logits'), atol, 'nomask');
    expectClose(got.small!, fixture.f32('outputs.small_embeds.logits'), atol, 'small_embeds');
    expectClose(got.keepPad!, fixture.f32('outputs.t2i_keep_pad.logits'), atol, 't2i_keep_pad');
  });
});
