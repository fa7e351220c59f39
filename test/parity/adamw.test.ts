import { FlatState } from '@unif2ace/graph';
import { AdamW, clipGradNorm, type LrSchedule, learningRate } from '@unif2ace/lab';
import { describe, expect, test } from 'vitest';
import { expectClose, loadFixture, type Tolerance } from './fixture.ts';

interface Curve {
  args: { num_warmup_steps?: number; num_training_steps?: number; power?: number; num_cycles?: number };
  lr_base: number;
  steps?: number[];
  values: number[];
}
interface Json {
  config: {
    lr: number;
    betas: [number, number];
    eps: number;
    weight_decay: number;
    max_grad_norm: number;
    warmup: number;
    total: number;
    no_decay: string[];
  };
  tolerance: { 'outputs.*': Tolerance; schedules: number };
  scalars: { lr_per_step: number[]; grad_norm: number[]; clip_coefficient: number[] };
  curves: Record<string, Curve>;
}

const fixture = loadFixture<Json>('adamw');
const { config, curves, scalars, tolerance } = fixture.json;
const close = tolerance['outputs.*'];
const prefix = 'inputs.param.';
const names = fixture.names(prefix).map((key) => key.slice(prefix.length));

describe('AdamW', () => {
  test('clipping, both moments and parameters over all steps', () => {
    const state = new FlatState(
      names.map((name) => ({ name, shape: fixture.shape(prefix + name), init: { kind: 'zeros' } })),
    );
    for (const name of names) state.param(name).set(fixture.f32(prefix + name));
    const optimizer = new AdamW(state, {
      learningRate: config.lr,
      betas: config.betas,
      epsilon: config.eps,
      weightDecay: config.weight_decay,
      noDecay: (name) => config.no_decay.includes(name),
    });
    const schedule: LrSchedule = { kind: 'cosine', warmupSteps: config.warmup, totalSteps: config.total };
    scalars.lr_per_step.forEach((rate, step) => {
      for (const name of names) state.grad(name).set(fixture.f32(`inputs.grad.${step}.${name}`));
      expectClose([clipGradNorm(state.grads, config.max_grad_norm)], [scalars.grad_norm[step]!], close, `norm ${step}`);
      optimizer.learningRate = learningRate(schedule, step, { base: config.lr });
      expectClose([optimizer.learningRate], [rate], close, `rate ${step}`);
      optimizer.step();
      for (const name of names) {
        const { start, end } = state.range(name);
        const check = (array: Float32Array, key: string) =>
          expectClose(
            array.subarray(start, end),
            fixture.f32(`outputs.${key}.${step}.${name}`),
            close,
            `${key} ${step} ${name}`,
          );
        check(state.grads, 'clipped_grad');
        check(state.params, 'param');
        check(state.m, 'exp_avg');
        check(state.v, 'exp_avg_sq');
      }
    });
    expect(optimizer.steps).toBe(scalars.lr_per_step.length);
  });
});

describe('learning-rate schedules', () => {
  test.each(Object.entries(curves))('%s', (name, curve) => {
    const {
      num_warmup_steps: warmupSteps = 0,
      num_training_steps: totalSteps = 0,
      power,
      num_cycles: cycles,
    } = curve.args;
    const kind = name.startsWith('show_o') ? 'cosine' : (name as LrSchedule['kind']);
    const schedule = {
      kind,
      warmupSteps,
      totalSteps,
      ...(power && { power }),
      ...(cycles && { cycles }),
    } as LrSchedule;
    curve.values.forEach((value, i) => {
      const step = curve.steps?.[i] ?? i;
      const got = learningRate(schedule, step, { base: curve.lr_base, riseAgain: true });
      expect(Math.abs(got - value), `step ${step}: expected ${value}, got ${got}`).toBeLessThanOrEqual(
        tolerance.schedules,
      );
    });
  });

  test('by default the rate does not rise after the last step', () => {
    expect(learningRate({ kind: 'cosine', warmupSteps: 0, totalSteps: 10 }, 25, { base: 1 })).toBeCloseTo(0, 12);
  });
});
