import {
  type FeatureMatrix,
  featureStatistics,
  frechetDistance,
  kernelDistance,
  mmdEstimators,
  polynomialKernel,
  polynomialMmd2,
} from '@unif2ace/lab';
import { describe, expect, test } from 'vitest';
import { expectClose, loadFixture } from './fixture.ts';

interface Json {
  scalars: {
    fid: Record<
      string,
      { fid_reference: number; fid_exact_eigen: number; difference: number; eps_path_taken: boolean }
    >;
    kid: {
      mean: number;
      std: number;
      mmd2_each: number[];
      first_rows_by_estimator: Record<(typeof mmdEstimators)[number], number>;
      subset_size: number;
      degree: number;
      gamma: number;
      coef0: number;
    };
  };
}

const fixture = loadFixture<Json>('fid-kid');
const { fid, kid } = fixture.json.scalars;

function features(name: string): FeatureMatrix {
  const [rows, columns] = fixture.shape(name) as [number, number];
  return { data: fixture.f32(name), rows, columns };
}

/** Where both covariances are regular the reference's square root is exact to rounding. */
const regularCases = new Set(['regular', 'one_dim']);

describe('Fréchet distance of pytorch-fid', () => {
  test.each(Object.entries(fid))('%s: mean, covariance and distance', (name, reference) => {
    const [first, second] = [1, 2].map((set) => featureStatistics(features(`inputs.fid.${name}.features${set}`)));
    for (const [set, statistics] of [first!, second!].entries()) {
      // stored as float32
      const stored = { atol: 1e-6, rtol: 1e-6 };
      expectClose(statistics.mean, fixture.f32(`outputs.fid.${name}.mu${set + 1}`), stored, `mu${set + 1}`);
      expectClose(statistics.covariance, fixture.f32(`outputs.fid.${name}.sigma${set + 1}`), stored, `sigma${set + 1}`);
    }
    const distance = frechetDistance(first!, second!);
    const allowed = regularCases.has(name)
      ? { rtol: 1e-6 }
      : { atol: Math.max(1e-4, 1e-3 * reference.fid_reference, 10 * Math.abs(reference.difference)) };
    expectClose([distance], [reference.fid_reference], allowed, name);
    // the same route as ours, so much closer; square roots of rounding errors remain
    expectClose([distance], [reference.fid_exact_eigen], { atol: 1e-5, rtol: 1e-6 }, `${name}, exact`);
  });

  test('features that do not match or are not finite are rejected', () => {
    const two = featureStatistics({ data: Float32Array.of(1, 2, 3, 5), rows: 2, columns: 2 });
    const one = featureStatistics({ data: Float32Array.of(1, 2), rows: 2, columns: 1 });
    expect(() => frechetDistance(two, one)).toThrow(/expected equal numbers of features, got 2 and 1/);
    expect(() => featureStatistics({ data: Float32Array.of(1, 2), rows: 1, columns: 2 })).toThrow(
      /at least 2 samples, got 1/,
    );
    const broken = featureStatistics({ data: Float32Array.of(1, Number.NaN), rows: 2, columns: 1 });
    expect(() => frechetDistance(broken, one)).toThrow(/expected finite entries/);
  });
});

describe('Kernel distance of torch-fidelity', () => {
  const [first, second] = [features('inputs.kid.features1'), features('inputs.kid.features2')];
  const kernel = { degree: kid.degree, gamma: kid.gamma, coef0: kid.coef0 };
  const close = { rtol: 1e-6 };

  const head = ({ data, columns }: FeatureMatrix, rows: number): FeatureMatrix => ({
    data: data.subarray(0, rows * columns),
    rows,
    columns,
  });
  // stored as float32
  const stored = { rtol: 1e-5 };

  test('mean, deviation and every subset', () => {
    const subsetsOf = (name: string) => {
      const [count, size] = fixture.shape(name) as [number, number];
      const rows = fixture.ints(name);
      return Array.from({ length: count }, (_, i) => rows.slice(i * size, (i + 1) * size));
    };
    const rows = { first: subsetsOf('inputs.kid.subset1'), second: subsetsOf('inputs.kid.subset2') };
    const { mean, std, each } = kernelDistance(first, second, { ...kernel, rows });
    expectClose(each, kid.mmd2_each, close, 'mmd2_each');
    expectClose(each, fixture.f32('outputs.kid.mmd2'), stored, 'mmd2 stored');
    expectClose([mean, std], [kid.mean, kid.std], close, 'mean, std');
  });

  test('kernel values', () => {
    const [rows, columns] = fixture.shape('outputs.kid.kernel_xy_first') as [number, number];
    const values = polynomialKernel(head(first, rows), head(second, columns), kernel);
    expectClose(values, fixture.f32('outputs.kid.kernel_xy_first'), stored, 'kernel_xy_first');
  });

  test.each(mmdEstimators)('estimator %s on the first rows', (estimator) => {
    const value = polynomialMmd2(head(first, kid.subset_size), head(second, kid.subset_size), estimator, kernel);
    expectClose([value], [kid.first_rows_by_estimator[estimator]], close, estimator);
  });

  test('drawn subsets are repeatable, free of repeats, and their mean falls on the estimate over all rows', () => {
    const rows = Math.min(first.rows, second.rows);
    const [a, b] = [head(first, rows), head(second, rows)];
    const whole = polynomialMmd2(a, b, 'unbiased', kernel);
    // a subset of all rows is the whole set in another order, if no row is drawn twice
    const { each } = kernelDistance(a, b, { ...kernel, subsets: 3, subsetSize: rows, seed: 1 });
    expectClose(each, [whole, whole, whole], { rtol: 1e-12 }, 'whole sets');
    const drawn = { ...kernel, subsets: 400, subsetSize: 12 };
    const some = kernelDistance(a, b, drawn);
    expect(some.each).toEqual(kernelDistance(a, b, drawn).each);
    expect(some.each).not.toEqual(kernelDistance(a, b, { ...drawn, seed: 3 }).each);
    expect(Math.abs(some.mean - whole)).toBeLessThan((5 * some.std) / Math.sqrt(400));
  });

  test('impossible subsets are rejected', () => {
    expect(() => kernelDistance(first, second, { subsetSize: 1e6 })).toThrow(/subsets of 1000000 need as many samples/);
    expect(() => kernelDistance(first, second, { subsets: 0 })).toThrow(/at least 1 subset, got 0/);
  });
});
