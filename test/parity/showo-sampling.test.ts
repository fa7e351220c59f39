import {
  additiveMask,
  chooseToken,
  confidence,
  drawCode,
  guidedProbabilities,
  gumbelOf,
  lowestConfidence,
  type MaskgitStep,
  type MaskSchedule,
  maskRatioFloat32,
  mmuVisibility,
  phi,
  phiEmbed,
  phiLogits,
  sampleMaskgit,
  showoLayout,
  t2iSequence,
  t2iVisibility,
  textProbabilities,
  unknownToken,
} from '@unif2ace/core';
import { buildModel, input, ParamScope, type Session } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { describe, expect, test } from 'vitest';
import { expectClose, loadFixture, type Tolerance } from './fixture.ts';
import { type PhiJson, phiConfigOf } from './phi-config.ts';
import { float32, int32 } from './run.ts';

interface Run {
  name: string;
  timesteps: number;
  guidance_scale: number;
  temperature: number;
  noise_schedule: MaskSchedule['method'];
  texts: number[][];
}
interface Json {
  config: {
    phi: PhiJson;
    llm_vocab_size: number;
    codebook_size: number;
    vocab_size: number;
    num_vq_tokens: number;
    max_seq_length: number;
    special_ids: Record<string, number>;
    schedules: ({ index: number } & MaskSchedule)[];
    topk_temperature: number;
    runs: Run[];
    mmu: { max_new_tokens: number; temperature: number; top_k: number };
  };
  tolerance: Record<string, Tolerance>;
}

const fixture = loadFixture<Json>('showo-sampling');
const { config, tolerance } = fixture.json;
const layout = showoLayout(
  config.llm_vocab_size,
  config.codebook_size,
  config.special_ids['<|sot|>']!,
  config.special_ids['<|eot|>']!,
);
const phiConfig = phiConfigOf(config.phi, config.vocab_size);
const float32Max = 3.4028234663852886e38;
const runtime = directRuntime({ intraOpThreads: 2 });

function networkOf(batch: number, length: number): Promise<Session> {
  const scope = new ParamScope();
  const showo = scope.at('showo');
  const ids = input('ids', [batch, length], 'int32');
  const mask = input('mask', [batch, 1, length, length]);
  const { hiddenStates } = phi(showo, phiConfig, phiEmbed(showo, phiConfig, ids), { mask });
  return runtime.createSession(
    buildModel({ logits: phiLogits(showo, phiConfig, hiddenStates.at(-1)!) }, { parameters: fixture.weights() }),
  );
}

function table(name: string, row: number): number[][] {
  const values = fixture.ints(name);
  return Array.from({ length: values.length / row }, (_, i) => values.slice(i * row, (i + 1) * row));
}

test.each(config.schedules)('schedule $index ($method)', (schedule) => {
  const t = Array.from(fixture.f32('inputs.schedule.t'));
  expectClose(
    t.map((x) => maskRatioFloat32(schedule, x)),
    fixture.f32(`outputs.schedule.${schedule.index}`),
    tolerance['outputs.schedule.*']!,
    'schedule',
  );
});

test('confidences and the tokens masked again', () => {
  const [batch, n] = fixture.shape('inputs.topk.probs') as [number, number];
  const probs = Array.from(fixture.f32('inputs.topk.probs'));
  const u = fixture.f32('inputs.topk.u');
  const counts = fixture.f32('inputs.topk.mask_len');
  expectClose(Array.from(u, gumbelOf), fixture.f32('outputs.topk.gumbel'), tolerance['outputs.topk.gumbel']!, 'gumbel');
  for (const [temperature, masking] of [
    [config.topk_temperature, 'masking'],
    [0, 'masking_temperature0'],
  ] as const) {
    const confidences = probs.map((p, i) => confidence(p, u[i]!, temperature));
    if (temperature > 0)
      expectClose(
        confidences,
        fixture.f32('outputs.topk.confidence'),
        tolerance['outputs.topk.confidence']!,
        'confidence',
      );
    const masked = Array.from({ length: batch }, (_, b) => [
      ...lowestConfidence(confidences.slice(b * n, (b + 1) * n), counts[b]!),
    ]);
    expect(masked.flat()).toEqual(fixture.ints(`outputs.topk.${masking}`));
  }
});

describe('t2i_generate with the network', () => {
  test.each(config.runs)('$name', async (run) => {
    const prefix = `run.${run.name}`;
    const n = config.num_vq_tokens;
    const batch = run.texts.length;
    const length = fixture.shape(`inputs.${prefix}.input_ids`)[1]!;
    const first = config.max_seq_length + 2;
    const inputIds = table(`inputs.${prefix}.input_ids`, length);
    const uncondPrefix = table(`inputs.${prefix}.uncond_input_ids`, length).map((row) => row.slice(0, first - 1));
    const guided = run.guidance_scale > 0;
    const rows = guided ? 2 * batch : batch;

    // the prompt and its mask come from our own builders
    expect(
      run.texts.map(
        (text, b) => t2iSequence(layout, text, config.max_seq_length, inputIds[b]!.slice(first, first + n)).ids,
      ),
    ).toEqual(inputIds);
    const fullRows = [
      ...inputIds,
      ...(guided ? uncondPrefix.map((p, b) => [...p, ...inputIds[b]!.slice(first - 1)]) : []),
    ];
    const mask = fullRows.flatMap((row) => [...additiveMask(t2iVisibility(layout, row, true))]);
    expect(mask).toEqual([...fixture.f32(`inputs.${prefix}.attention_mask`)]);

    const session = await networkOf(rows, length);
    let firstLogits: Float32Array | null = null;
    const probabilities: Float64Array[] = [];
    const network = async (tokens: readonly Int32Array[]) => {
      const image = tokens.map((row) =>
        Array.from(row, (code) => (code === unknownToken ? layout.mask : code + layout.codeOffset)),
      );
      const ids = fullRows.map((row, r) => [...row.slice(0, first), ...image[r % batch]!, layout.eoi]);
      const { logits: all } = await session.run({
        ids: int32(ids.flat(), [rows, length]),
        mask: float32(Float32Array.from(mask), [rows, 1, length, length]),
      });
      const data = all!.data as Float32Array;
      firstLogits ??= data.slice();
      const codes = (from: number) => {
        const out = new Float32Array(batch * n * config.codebook_size);
        for (let b = 0; b < batch; b++)
          for (let i = 0; i < n; i++) {
            const at = ((from + b) * length + first + i) * config.vocab_size + layout.codeOffset;
            out.set(data.subarray(at, at + config.codebook_size), (b * n + i) * config.codebook_size);
          }
        return out;
      };
      const logits = { conditional: codes(0), ...(guided && { unconditional: codes(batch) }) };
      const found = guidedProbabilities(logits, config.codebook_size, run.guidance_scale);
      probabilities.push(found);
      return found;
    };
    const start = inputIds.map((row) =>
      Int32Array.from(row.slice(first, first + n), (id) =>
        id === layout.mask ? unknownToken : id - layout.codeOffset,
      ),
    );
    const uCode = fixture.f32(`inputs.${prefix}.u_multinomial`);
    const uGumbel = fixture.f32(`inputs.${prefix}.u_gumbel`);
    const draws = (step: number, image: number) => {
      const at = (step * batch + image) * n;
      return { code: uCode.subarray(at, at + n), confidence: uGumbel.subarray(at, at + n) };
    };
    const steps: MaskgitStep[] = [];
    const sampler = sampleMaskgit(start, config.codebook_size, network, draws, {
      steps: run.timesteps,
      temperature: run.temperature,
      schedule: { method: run.noise_schedule } as MaskSchedule,
      mode: 'showo',
    });
    for await (const step of sampler) steps.push(step);
    await session.release();

    const out = `outputs.${prefix}`;
    const flat = <T>(f: (step: MaskgitStep) => Iterable<T>[]) =>
      steps.flatMap((step) => f(step).flatMap((row) => [...row]));
    expectClose(
      firstLogits!,
      fixture.f32(`${out}.logits_step0`),
      tolerance['outputs.run.*.logits_step0']!,
      'logits_step0',
    );
    expectClose(
      probabilities.flatMap((step) => [...step]),
      fixture.f32(`${out}.probs`),
      tolerance['outputs.run.*.probs']!,
      'probs',
    );
    expect(flat((s) => s.sampled)).toEqual(fixture.ints(`${out}.sampled_ids`));
    const recorded = fixture.f32(`${out}.selected_probs`);
    const selected = flat((s) => s.selected);
    expect(selected.map((p) => p === float32Max)).toEqual(Array.from(recorded, (p) => p === Math.fround(float32Max)));
    expectClose(
      selected.map((p) => (p === float32Max ? 0 : p)),
      recorded.map((p) => (p === Math.fround(float32Max) ? 0 : p)),
      tolerance['outputs.*.selected_probs']!,
      'selected_probs',
    );
    expect(steps.flatMap((s) => s.maskCounts)).toEqual([...fixture.f32(`${out}.mask_len`)]);
    expectClose(
      steps.map((s) => s.temperature),
      fixture.f32(`${out}.temperature`),
      { atol: 1e-6 },
      'temperature',
    );
    expect(flat((s) => s.tokens.map((row) => Array.from(row, (t) => Number(t === unknownToken))))).toEqual(
      fixture.ints(`${out}.masking`),
    );
    expect(
      flat((s) =>
        s.tokens.map((row) => Array.from(row, (t) => (t === unknownToken ? layout.mask : t + layout.codeOffset))),
      ),
    ).toEqual(fixture.ints(`${out}.image_ids_after`));
    expect(steps.at(-1)!.sampled.flatMap((row) => [...row])).toEqual(fixture.ints(`${out}.final`));
    const drawn = probabilities.flatMap((p, step) =>
      Array.from({ length: batch }, (_, image) => draws(step, image).code).flatMap((numbers, image) =>
        Array.from(numbers, (u, i) => {
          const at = (image * n + i) * config.codebook_size;
          return drawCode(p.subarray(at, at + config.codebook_size), u);
        }),
      ),
    );
    expect(drawn).toEqual(fixture.ints(`${out}.drawn_ids`));
  });
});

test('mmu_generate with the network', async () => {
  const ids = fixture.ints('inputs.mmu.idx');
  expect([...additiveMask(mmuVisibility(layout, ids))]).toEqual([...fixture.f32('inputs.mmu.attention_mask')]);
  const uniforms = fixture.f32('inputs.mmu.u_multinomial');
  const eoi = ids.indexOf(layout.eoi);
  const options = { temperature: config.mmu.temperature, topK: config.mmu.top_k };
  const tokens: number[] = [];
  const probabilities: number[] = [];
  for (let step = 0; step < config.mmu.max_new_tokens; step++) {
    const row = [...ids, ...tokens];
    const session = await networkOf(1, row.length);
    const mask = additiveMask(mmuVisibility(layout, row, eoi));
    const { logits } = await session.run({
      ids: int32(row, [1, row.length]),
      mask: float32(mask, [1, 1, row.length, row.length]),
    });
    await session.release();
    const last = (logits!.data as Float32Array).slice(-config.vocab_size);
    probabilities.push(...textProbabilities(last, options));
    tokens.push(chooseToken(last, options, () => uniforms[step]!));
  }
  expectClose(probabilities, fixture.f32('outputs.mmu.probs'), { atol: 1e-4 }, 'probs');
  expect(tokens).toEqual(fixture.ints('outputs.mmu.tokens'));
});
