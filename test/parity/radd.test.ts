import {
  countCrossEntropy,
  lambdaCrossEntropy,
  logLinearNoise,
  logScoreFromConditional,
  sampleTransition,
  timeCrossEntropy,
  timeScoreEntropy,
  type WeightedLoss,
} from '@unif2ace/core';
import { describe, expect, test } from 'vitest';
import { expectClose, loadFixture, type Tolerance } from './fixture.ts';

interface Json {
  config: { vocab: number; mask_id: number; token_dim: number; batch: number; length: number; sampling_eps: number };
  tolerance: { 'outputs.*': Tolerance };
}

const fixture = loadFixture<Json>('radd');
const { config, tolerance } = fixture.json;
const { batch, length, mask_id: mask, token_dim: width } = config;
const close = tolerance['outputs.*'];
const noise = logLinearNoise();
const rows = (values: ArrayLike<number>, size: number) =>
  Array.from({ length: batch }, (_, b) => Array.from(values).slice(b * size, (b + 1) * size));
const x0 = rows(fixture.ints('inputs.x0'), length);
const logCondition = rows(fixture.f32('outputs.log_condition'), length * width);

function check(name: string, xt: number[][], losses: WeightedLoss[]): void {
  expect(xt.flat()).toEqual(fixture.ints(`outputs.${name}.xt`));
  expectClose(
    losses.map(({ loss }) => loss),
    fixture.f32(`outputs.${name}.loss`),
    close,
    `${name}.loss`,
  );
  const gradient = losses.flatMap((l) => Array.from(l.gradient, (g) => g / batch));
  expectClose(gradient, fixture.f32(`grads.${name}.log_condition`), close, `${name} gradient`);
}

describe('RADD', () => {
  test('log condition is a log softmax over the codes, the mask column stays raw', () => {
    const logits = fixture.f32('inputs.logits');
    const got = Array.from({ length: batch * length }, (_, i) => {
      const row = logits.slice(i * width, (i + 1) * width);
      const logSumExp = Math.log(row.slice(0, config.vocab).reduce((sum, x) => sum + Math.exp(x), 0));
      return Array.from(row, (x, v) => (v < config.vocab ? x - logSumExp : x));
    }).flat();
    expectClose(got, fixture.f32('outputs.log_condition'), close, 'log_condition');
  });

  test.each(['t_DCE', 't_DSE'] as const)('%s', (name) => {
    const u = fixture.f32(`inputs.${name}.u_t`)[0]!;
    const times = Array.from(
      { length: batch },
      (_, b) => (1 - config.sampling_eps) * ((u + b / batch) % 1) + config.sampling_eps,
    );
    expectClose(times, fixture.f32(`outputs.${name}.t`), close, 't');
    const uMask = rows(fixture.f32(`inputs.${name}.u_mask`), length);
    const xt = times.map((t, b) => sampleTransition(x0[b]!, uMask[b]!, noise.total(t), mask));
    const loss = name === 't_DCE' ? timeCrossEntropy : timeScoreEntropy;
    check(
      name,
      xt,
      times.map((t, b) => loss(logCondition[b]!, x0[b]!, xt[b]!, width, noise, t)),
    );
  });

  test('lambda_DCE', () => {
    const u = fixture.f32('inputs.lambda_DCE.u_lambda');
    const lambdas = Array.from(u, (x, b) => (x + b) / batch);
    expectClose(lambdas, fixture.f32('outputs.lambda_DCE.lambda'), close, 'lambda');
    const uMask = rows(fixture.f32('inputs.lambda_DCE.u_mask'), length);
    const xt = lambdas.map((lambda, b) => x0[b]!.map((x, i) => (uMask[b]![i]! < lambda ? mask : x)));
    check(
      'lambda_DCE',
      xt,
      lambdas.map((lambda, b) => lambdaCrossEntropy(logCondition[b]!, x0[b]!, xt[b]!, width, lambda)),
    );
  });

  test('k_DCE', () => {
    const counts = fixture.ints('inputs.k_DCE.k');
    const permutation = rows(fixture.ints('inputs.k_DCE.perm'), length);
    const xt = counts.map((k, b) => x0[b]!.map((x, i) => (permutation[b]![i]! < k ? mask : x)));
    check(
      'k_DCE',
      xt,
      counts.map((k, b) => countCrossEntropy(logCondition[b]!, x0[b]!, xt[b]!, width, k)),
    );
  });

  test('autoregressive losses are order losses of the toy network', () => {
    const E = fixture.f32('inputs.ar.E');
    const P = fixture.f32('inputs.ar.P');
    const V = config.vocab;
    const forward = Array.from({ length }, (_, i) => i);
    const orders = {
      ar_forward: forward,
      ar_backward: [...forward].reverse(),
      ar_random: fixture.ints('inputs.ar.random_order'),
    };
    const logP = (visible: readonly number[], i: number, target: number) => {
      const logits = Array.from({ length: V }, (_, v) =>
        visible.reduce(
          (sum, x, j) => sum + E[(x < 0 ? V : x) * V + v]! * (P[(i * length + j) * V + v]! + 1 / length),
          0,
        ),
      );
      return logits[target]! - Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
    };
    for (const [name, order] of Object.entries(orders)) {
      const losses = x0.map((row) => {
        const visible = row.map(() => -1);
        return order.reduce((loss, i) => {
          const next = loss - logP(visible, i, row[i]!);
          visible[i] = row[i]!;
          return next;
        }, 0);
      });
      expectClose(losses, fixture.f32(`outputs.${name}.loss`), close, name);
    }
  });

  test('log scores subtract log(e^σ − 1)', () => {
    const sigma = noise.total(0.3);
    expect(logScoreFromConditional(-1, sigma)).toBeCloseTo(-1 - Math.log(Math.exp(sigma) - 1), 12);
  });
});
