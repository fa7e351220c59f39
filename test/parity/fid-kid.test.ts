import { featureStatistics, frechetDistance, kernelMatrix, meanAndStd, mmd2, type MmdEstimator } from '@unif2ace/lab';
import { describe, expect, test } from 'vitest';
import { expectClose, loadFixture } from './fixture.ts';

interface Json {
  scalars: {
    fid: Record<string, { fid_reference: number; fid_exact_eigen: number; difference: number }>;
    kid: {
      mean: number;
      std: number;
      mmd2_each: number[];
      first_rows_by_estimator: Record<MmdEstimator, number>;
      degree: number;
      gamma: number;
      coef0: number;
    };
  };
}

const fixture = loadFixture<Json>('fid-kid');
const { fid, kid } = fixture.json.scalars;

describe('Fréchet distance', () => {
  test.each(Object.entries(fid))('%s', (name, want) => {
    const width = fixture.shape(`inputs.fid.${name}.features1`)[1]!;
    const [a, b] = [1, 2].map((i) => featureStatistics(fixture.f32(`inputs.fid.${name}.features${i}`), width));
    // stored as float32
    const stored = { rtol: 1e-5, atol: 1e-6 };
    expectClose(a!.mean, fixture.f32(`outputs.fid.${name}.mu1`), stored, 'mu1');
    expectClose(b!.mean, fixture.f32(`outputs.fid.${name}.mu2`), stored, 'mu2');
    expectClose(a!.covariance, fixture.f32(`outputs.fid.${name}.sigma1`), stored, 'sigma1');
    expectClose(b!.covariance, fixture.f32(`outputs.fid.${name}.sigma2`), stored, 'sigma2');
    const got = frechetDistance(a!, b!);
    const regular = name === 'regular' || name === 'one_dim';
    const allowed = regular
      ? 1e-6 * Math.abs(want.fid_reference)
      : Math.max(1e-4, 1e-3 * Math.abs(want.fid_reference), 10 * Math.abs(want.difference));
    expect(Math.abs(got - want.fid_reference), `expected ${want.fid_reference}, got ${got}`).toBeLessThanOrEqual(allowed);
    expectClose([got], [want.fid_exact_eigen], { rtol: 1e-6, atol: 1e-6 }, 'exact');
  });
});

test('kernel distance: subsets, estimators, kernel', () => {
  const rowsOf = (name: string) => {
    const width = fixture.shape(name)[1]!;
    const data = fixture.f32(name);
    return Array.from({ length: data.length / width }, (_, n) => data.subarray(n * width, (n + 1) * width));
  };
  const [a, b] = [rowsOf('inputs.kid.features1'), rowsOf('inputs.kid.features2')];
  const kernel = { degree: kid.degree, gamma: kid.gamma, coefficient: kid.coef0 };
  const [subsets, size] = fixture.shape('inputs.kid.subset1') as [number, number];
  const subset = (rows: typeof a, name: string, i: number) => fixture.ints(name).slice(i * size, (i + 1) * size).map((row) => rows[row]!);
  const each = Array.from({ length: subsets }, (_, i) => mmd2(subset(a, 'inputs.kid.subset1', i), subset(b, 'inputs.kid.subset2', i), kernel));
  const close = { rtol: 1e-6 };
  expectClose(each, kid.mmd2_each, close, 'mmd2');
  expectClose(each, fixture.f32('outputs.kid.mmd2'), { rtol: 1e-5 }, 'mmd2 stored');
  const { mean, std } = meanAndStd(each);
  expectClose([mean, std], [kid.mean, kid.std], close, 'mean and std');
  for (const [estimator, value] of Object.entries(kid.first_rows_by_estimator))
    expectClose([mmd2(a.slice(0, size), b.slice(0, size), kernel, estimator as MmdEstimator)], [value], close, estimator);
  const [rows, columns] = fixture.shape('outputs.kid.kernel_xy_first') as [number, number];
  expectClose(kernelMatrix(a.slice(0, rows), b.slice(0, columns), kernel).flat(), fixture.f32('outputs.kid.kernel_xy_first'), { rtol: 1e-5 }, 'kernel');
});
