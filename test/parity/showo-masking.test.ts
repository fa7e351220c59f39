import { type MaskSchedule, showoMasking, type ShowoMaskingDraws } from '../../packages/core/src/diffusion/index.ts';
import { describe, expect, it } from 'vitest';
import { loadFixture } from './fixture.ts';

type PythonCall =
  | ['random', number]
  | ['randint', number, number, number, number]
  | ['choices', number[], number[], number[]];

interface MaskCase {
  name: string;
  training: {
    min_masking_rate: number;
    noise_type: 'mask' | 'random_replace';
    predict_all_tokens?: boolean;
    mask_contiguous_region_prob?: number;
    eval_mask_ratios?: number[];
  };
  schedule?: MaskSchedule['method'];
  is_train: boolean;
  python_random_calls: PythonCall[];
}

const fixture = loadFixture<{ config: { mask_token_id: number; mask_cases: MaskCase[] } }>('showo-losses');
const { mask_token_id: maskId, mask_cases: cases } = fixture.json.config;

/** Hands back the recorded numbers, and fails when another one is asked for. */
function recorded({ name, python_random_calls }: MaskCase) {
  const calls = [...python_random_calls];
  const next = (...asked: unknown[]): PythonCall => {
    const call = calls.shift();
    expect(call?.slice(0, asked.length), 'the call that was recorded').toEqual(asked);
    return call!;
  };
  const draws: ShowoMaskingDraws = {
    timesteps: () => fixture.f32(`inputs.mask.${name}.u_timestep`),
    positions: () => fixture.f32(`inputs.mask.${name}.u_perm`),
    random: () => next('random')[1] as number,
    randint: (low, high) => next('randint', low, high)[4]!,
    choices(population, count) {
      const values = next('choices', [...population])[3] as number[];
      expect(values).toHaveLength(count);
      return values;
    },
  };
  return { draws, left: () => calls.length };
}

function rows(name: string): number[][] {
  const [batch, length] = fixture.shape(name) as [number, number];
  const flat = fixture.ints(name);
  return Array.from({ length: batch }, (_, b) => flat.slice(b * length, (b + 1) * length));
}

describe('Show-o mask_or_random_replace_tokens', () => {
  it.each(cases)('$name', (maskCase) => {
    const { name, training, schedule = 'cosine', is_train } = maskCase;
    const { draws, left } = recorded(maskCase);
    const result = showoMasking(
      rows(`inputs.mask.${name}.image_tokens`),
      {
        schedule: { method: schedule } as MaskSchedule,
        maskId,
        minMaskingRate: training.min_masking_rate,
        noiseType: training.noise_type,
        predictAllTokens: training.predict_all_tokens ?? false,
        ...(training.mask_contiguous_region_prob !== undefined && {
          contiguousRegionProbability: training.mask_contiguous_region_prob,
        }),
        ...(training.eval_mask_ratios && { evalMaskRatios: training.eval_mask_ratios }),
        training: is_train,
      },
      draws,
    );
    expect(left(), 'recorded calls left over').toBe(0);
    expect(result.inputIds).toEqual(rows(`outputs.mask.${name}.input_ids`));
    expect(result.labels).toEqual(rows(`outputs.mask.${name}.labels`));
    const probability = fixture.f32(`outputs.mask.${name}.mask_prob`);
    result.maskProbability.forEach((p, b) => expect(p).toBeCloseTo(probability[b]!, 6));
    const weights = `outputs.mask.${name}.loss_weight`;
    expect(result.lossWeight !== null).toBe(fixture.has(weights));
    const flat = result.lossWeight?.flatMap((row) => [...row]) ?? [];
    flat.forEach((weight, i) => expect(weight).toBeCloseTo(fixture.f32(weights)[i]!, 6));
  });
});
