import {
  additiveMask,
  answerSequence,
  causalVisibility,
  dropsCondition,
  type LabelledSequence,
  lmSequence,
  type MaskSchedule,
  mmuSequence,
  mmuVisibility,
  phi,
  phiEmbed,
  phiHead,
  phiLogits,
  showoLayout,
  showoMasking,
  t2iSequence,
  t2iVisibility,
} from '@unif2ace/core';
import {
  add,
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

type PythonCall = [string, ...unknown[]];
interface MaskCase {
  name: string;
  training: Record<string, unknown>;
  schedule?: MaskSchedule['method'];
  is_train: boolean;
  python_random_calls: PythonCall[];
}
interface Json {
  config: {
    phi: PhiJson;
    vocab_size: number;
    llm_vocab_size: number;
    codebook_size: number;
    mask_token_id: number;
    max_seq_length: number;
    batch_size_t2i: number;
    batch_size_lm: number;
    batch_size_mmu: number;
    coefficients: Record<'t2i' | 'lm' | 'mmu', number>;
    special_ids: Record<string, number>;
    texts: Record<'t2i' | 'lm' | 'mmu', number[][]>;
    mask_cases: MaskCase[];
  };
  tolerance: { 'outputs.*': Tolerance; global_max: number };
}

const fixture = loadFixture<Json>('showo-losses');
const { config, tolerance } = fixture.json;
const layout = showoLayout(
  config.llm_vocab_size,
  config.codebook_size,
  config.special_ids['<|sot|>']!,
  config.special_ids['<|eot|>']!,
);

function rowsOf(name: string): number[][] {
  const [rows, length] = fixture.shape(name) as [number, number];
  const values = fixture.ints(name);
  return Array.from({ length: rows }, (_, b) => values.slice(b * length, (b + 1) * length));
}

/** Answers Python's random module from the record and checks that it is asked the same. */
function replay(calls: PythonCall[]) {
  let next = 0;
  const take = (name: string, ...args: unknown[]) => {
    const call = calls[next++]!;
    expect(call.slice(0, 1 + args.length)).toEqual([name, ...args]);
    return call.at(-1);
  };
  return {
    random: () => take('random') as number,
    randint: (low: number, high: number) => take('randint', low, high) as number,
    choices: (population: readonly number[]) => take('choices', population) as number[],
    finished: () => expect(next).toBe(calls.length),
  };
}

describe('masking', () => {
  test.each(config.mask_cases)('$name', (maskCase) => {
    const prefix = `mask.${maskCase.name}`;
    const python = replay(maskCase.python_random_calls);
    const { training } = maskCase;
    const optional = (name: string) =>
      fixture.has(`inputs.${prefix}.${name}`) ? fixture.f32(`inputs.${prefix}.${name}`) : [];
    const result = showoMasking(
      rowsOf(`inputs.${prefix}.image_tokens`),
      {
        schedule: { method: maskCase.schedule ?? 'cosine' } as MaskSchedule,
        maskId: config.mask_token_id,
        minMaskingRate: training.min_masking_rate as number,
        noiseType: training.noise_type as 'mask' | 'random_replace',
        predictAllTokens: training.predict_all_tokens === true,
        contiguousRegionProbability: (training.mask_contiguous_region_prob as number | undefined) ?? null,
        evalMaskRatios: (training.eval_mask_ratios as number[] | undefined) ?? null,
        training: maskCase.is_train,
      },
      { timestep: optional('u_timestep'), permutation: optional('u_perm'), ...python },
    );
    python.finished();
    expect(result.inputIds).toEqual(rowsOf(`outputs.${prefix}.input_ids`));
    expect(result.labels).toEqual(rowsOf(`outputs.${prefix}.labels`));
    expectClose(
      result.maskProbability,
      fixture.f32(`outputs.${prefix}.mask_prob`),
      tolerance['outputs.*'],
      'mask_prob',
    );
    const weights = `outputs.${prefix}.loss_weight`;
    expect(result.lossWeight !== null).toBe(fixture.has(weights));
    if (result.lossWeight)
      expectClose(
        result.lossWeight.flatMap((row) => [...row]),
        fixture.f32(weights),
        tolerance['outputs.*'],
        'loss_weight',
      );
  });
});

describe('a mixed batch', () => {
  const t2iRows = config.batch_size_t2i;
  const lmRows = config.batch_size_lm;
  const length = fixture.shape('inputs.batch.input_ids')[1]!;

  test('ids, labels and mask are built as the original builds them', () => {
    const masked = showoMasking(
      rowsOf('inputs.batch.image_tokens'),
      {
        schedule: { method: 'cosine' },
        maskId: layout.mask,
        minMaskingRate: 0,
        noiseType: 'mask',
        predictAllTokens: false,
        contiguousRegionProbability: null,
        evalMaskRatios: null,
        training: true,
      },
      {
        timestep: fixture.f32('inputs.batch.u_timestep'),
        permutation: fixture.f32('inputs.batch.u_perm'),
        random: () => 1,
        randint: () => 0,
        choices: () => [],
      },
    );
    const drop = fixture.f32('inputs.batch.u_drop');
    const images = rowsOf('inputs.batch.mmu_image_tokens');
    const { t2i, lm, mmu } = config.texts;
    const sequences: LabelledSequence[] = [
      ...t2i.map((text, b) =>
        t2iSequence(
          layout,
          text,
          config.max_seq_length,
          masked.inputIds[b]!,
          masked.labels[b]!,
          dropsCondition(drop[b]!, 0.1),
        ),
      ),
      ...lm.map((text) => lmSequence(layout, text, length)),
      ...mmu.map((text, b) => mmuSequence(layout, images[b]!, text, config.max_seq_length)),
    ];
    expect(sequences.map(({ ids }) => ids)).toEqual(rowsOf('inputs.batch.input_ids'));
    expect(sequences.map(({ labels }) => labels)).toEqual(rowsOf('inputs.batch.labels'));
    const ids = sequences.map((sequence) => sequence.ids);
    const masks = ids.map((row, b) => {
      if (b < t2iRows) return t2iVisibility(layout, row, true);
      return b < t2iRows + lmRows ? causalVisibility(row.length) : mmuVisibility(layout, row);
    });
    expect(masks.flatMap((visible) => [...additiveMask(visible)])).toEqual([
      ...fixture.f32('inputs.batch.attention_mask'),
    ]);
  });

  test('logits, the three losses, their sum and its gradients', async () => {
    const phiConfig = phiConfigOf(config.phi, config.vocab_size);
    const scope = new ParamScope();
    const showo = scope.at('showo');
    const batch = fixture.shape('inputs.batch.input_ids')[0]!;
    const mask = input('mask', fixture.shape('inputs.batch.attention_mask'));
    const hidden = phi(showo, phiConfig, phiEmbed(showo, phiConfig, input('ids', [batch, length], 'int32')), {
      mask,
    }).hiddenStates.at(-1)!;
    const labels = rowsOf('inputs.batch.labels');
    const head = phiHead(showo, phiConfig);
    const meanLoss = (from: number, to: number, start: number, shift: number): Tensor => {
      const picked = labels.slice(from, to).flatMap((row) => row.slice(start + shift));
      const count = picked.filter((label) => label !== -100).length;
      const rows = reshape(slice(slice(hidden, 0, from, to), 1, start, length - shift), [
        picked.length,
        phiConfig.hiddenSize,
      ]);
      const targets = constant(
        Int32Array.from(picked, (label) => Math.max(0, label)),
        [picked.length],
      );
      const weights = constant(
        Float32Array.from(picked, (label) => (label === -100 ? 0 : 1 / count)),
        [picked.length],
      );
      return reduceSum(mul(linearCrossEntropy(rows, head.weight_VD, head.bias_V, targets), weights));
    };
    const lossT2i = meanLoss(0, t2iRows, config.max_seq_length + 1, 0);
    const lossLm = meanLoss(t2iRows, t2iRows + lmRows, 0, 1);
    const lossMmu = meanLoss(t2iRows + lmRows, batch, 0, 1);
    const { t2i, lm, mmu } = config.coefficients;
    const loss = add(add(mul(lossT2i, t2i), mul(lossLm, lm)), mul(lossMmu, mmu));
    const got = await runGraph(
      {
        logits: phiLogits(showo, phiConfig, hidden),
        loss_t2i: lossT2i,
        loss_lm: lossLm,
        loss_mmu: lossMmu,
        loss,
        ...parameterGradients(loss, scope),
      },
      {
        ids: int32(fixture.ints('inputs.batch.input_ids'), [batch, length]),
        mask: float32(fixture.f32('inputs.batch.attention_mask'), fixture.shape('inputs.batch.attention_mask')),
      },
      fixture.weights(),
    );
    for (const key of fixture.names('outputs.batch.'))
      expectClose(got[key.slice('outputs.batch.'.length)]!, fixture.f32(key), tolerance['outputs.*'], key);
    const grads = fixture.names('grads.');
    expect(grads.length).toBe(scope.specs().length);
    for (const key of grads)
      expectGradClose(got[`grad.${key.slice('grads.'.length)}`]!, fixture.f32(key), 1e-3 * tolerance.global_max, key);
  });
});

test('an answer sequence counts the answer alone', () => {
  const { ids, labels } = answerSequence(layout, [layout.codeOffset], [3, 4], [5], 6);
  expect(ids).toEqual([
    layout.mmu,
    layout.soi,
    layout.codeOffset,
    layout.eoi,
    layout.sot,
    3,
    4,
    5,
    layout.eot,
    layout.pad,
  ]);
  expect(labels).toEqual([-100, -100, -100, -100, -100, -100, -100, 5, layout.eot, -100]);
});
