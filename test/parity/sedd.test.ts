import {
  geometricNoise,
  logLinearNoise,
  type NoiseSchedule,
  rate,
  reverseRate,
  sampleTransition,
  scoreEntropy,
  scoreEntropyGradient,
  staggeredScore,
  transposedRate,
  transposedTransition,
} from '@unif2ace/core';
import { describe, expect, test } from 'vitest';
import { expectClose, loadFixture, type Tolerance } from './fixture.ts';

type Noise = { index: number } & (
  | { type: 'geometric'; sigma_min: number; sigma_max: number }
  | { type: 'loglinear'; eps: number }
);
interface Json {
  config: { vocab: number; mask_id: number; batch: number; length: number; noises: Noise[] };
  tolerance: { 'outputs.*': Tolerance; 'outputs.noise.*': Tolerance };
}

const fixture = loadFixture<Json>('sedd');
const { config, tolerance } = fixture.json;
const { vocab, batch, length, mask_id: mask } = config;
const close = tolerance['outputs.*'];
const noiseOf = (noise: Noise): NoiseSchedule =>
  noise.type === 'geometric' ? geometricNoise(noise.sigma_min, noise.sigma_max) : logLinearNoise(noise.eps, 'float32');
const linear = noiseOf(config.noises.find(({ type }) => type === 'loglinear')!);
const x0 = fixture.ints('inputs.x0');
const xt = fixture.ints('inputs.xt');
const logScore = fixture.f32('inputs.log_score');
const row = (i: number) => logScore.slice(i * (vocab + 1), (i + 1) * (vocab + 1));
const scoreRow = (i: number) => Float64Array.from(row(i), Math.exp);
const perToken = <T>(f: (i: number, b: number) => T) =>
  Array.from({ length: batch * length }, (_, i) => f(i, Math.floor(i / length)));
const flat = (rows: Iterable<number>[]) => rows.flatMap((r) => [...r]);
const times = Array.from(fixture.f32('inputs.t'));
const sigmas = times.map(linear.total);
const dSigma = fixture.f32('inputs.dsigma_step');

describe('SEDD, absorbing graph', () => {
  test.each(config.noises)('noise $index', (noise) => {
    const t = Array.from(fixture.f32('inputs.noise.t'));
    const how = tolerance['outputs.noise.*'];
    expectClose(t.map(noiseOf(noise).total), fixture.f32(`outputs.noise.${noise.index}.sigma`), how, 'sigma');
    expectClose(t.map(noiseOf(noise).rate), fixture.f32(`outputs.noise.${noise.index}.dsigma`), how, 'dsigma');
  });

  test('score entropy, loss and gradient', () => {
    expectClose(sigmas, fixture.f32('outputs.sigma'), close, 'sigma');
    expectClose(times.map(linear.rate), fixture.f32('outputs.dsigma'), close, 'dsigma');
    const entropy = perToken((i, b) => scoreEntropy(row(i), sigmas[b]!, xt[i]!, x0[i]!));
    expectClose(entropy, fixture.f32('outputs.score_entropy'), close, 'score_entropy');
    const losses = times.map(
      (t, b) => linear.rate(t) * entropy.slice(b * length, (b + 1) * length).reduce((a, c) => a + c, 0),
    );
    expectClose(losses, fixture.f32('outputs.sedd_loss'), close, 'sedd_loss');
    const gradient = perToken((i, b) =>
      scoreEntropyGradient(row(i), sigmas[b]!, xt[i]!, x0[i]!).map((g) => (g * linear.rate(times[b]!)) / batch),
    );
    expectClose(flat(gradient), fixture.f32('grads.sedd_loss.log_score'), close, 'gradient');
  });

  test('loss with time and mask from recorded numbers', () => {
    const t = Array.from(fixture.f32('inputs.sedd_random.u_t'), (u) => (1 - 1e-3) * u + 1e-3);
    const uniforms = fixture.f32('inputs.sedd_random.u_mask');
    const losses = t.map((at, b) => {
      const sigma = linear.total(at);
      const clean = x0.slice(b * length, (b + 1) * length);
      const noisy = sampleTransition(clean, uniforms.slice(b * length, (b + 1) * length), sigma, mask);
      return (
        linear.rate(at) * noisy.reduce((sum, x, i) => sum + scoreEntropy(row(b * length + i), sigma, x, clean[i]!), 0)
      );
    });
    expectClose(losses, fixture.f32('outputs.sedd_random_loss'), close, 'sedd_random_loss');
  });

  test('rates', () => {
    expect(flat(perToken((i) => rate(xt[i]!, vocab)))).toEqual(fixture.ints('outputs.rate'));
    expect(flat(perToken((i) => transposedRate(xt[i]!, vocab)))).toEqual(fixture.ints('outputs.transp_rate'));
    expectClose(
      flat(perToken((i) => reverseRate(xt[i]!, scoreRow(i)))),
      fixture.f32('outputs.reverse_rate'),
      close,
      'reverse_rate',
    );
  });

  test('transitions and the analytic and denoising predictors', () => {
    const uniforms = fixture.f32('inputs.u_transition');
    const moved = times.flatMap((_, b) =>
      sampleTransition(
        x0.slice(b * length, (b + 1) * length),
        uniforms.slice(b * length, (b + 1) * length),
        sigmas[b]!,
        mask,
      ),
    );
    expect(moved).toEqual(fixture.ints('outputs.sample_transition'));
    const staggered = perToken((i, b) => staggeredScore(scoreRow(i), dSigma[b]!));
    expectClose(flat(staggered), fixture.f32('outputs.staggered_score'), close, 'staggered_score');
    const transition = perToken((i, b) => transposedTransition(xt[i]!, dSigma[b]!, vocab));
    expectClose(flat(transition), fixture.f32('outputs.transp_transition'), close, 'transp_transition');
    const analytic = staggered.map((score, i) => score.map((s, v) => s * transition[i]![v]!));
    expectClose(flat(analytic), fixture.f32('outputs.analytic_probs'), close, 'analytic_probs');
    const denoised = perToken((i, b) => {
      const score = staggeredScore(scoreRow(i), sigmas[b]!);
      const kernel = transposedTransition(xt[i]!, sigmas[b]!, vocab);
      return score.map((s, v) => s * kernel[v]!).slice(0, vocab);
    });
    expectClose(flat(denoised), fixture.f32('outputs.denoiser_probs'), close, 'denoiser_probs');
  });
});
