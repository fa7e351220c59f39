import { Philox } from '@unif2ace/graph';
import { describe, expect, test } from 'vitest';
import { krippendorffAlpha, type Scale, type UnitValues } from './agreement.ts';
import { bootstrap } from './bootstrap.ts';

/** Rows of observers → columns of units; "." is missing. */
function units(...observers: string[]): UnitValues[] {
  const rows = observers.map((row) => row.split(' '));
  return rows[0]!.map((_, unit) => rows.map((row) => (row[unit] === '.' ? null : Number.parseInt(row[unit]!, 36))));
}

describe('worked examples of Krippendorff 2011', () => {
  test('A: two observers, binary', () => {
    const data = units('0 1 0 0 0 0 0 0 1 0', '1 1 1 0 0 1 0 0 0 0');
    expect(krippendorffAlpha(data, 'nominal')).toBeCloseTo(0.095, 3);
  });

  test('B: two observers, five classes', () => {
    const data = units('a a b b d c c c e d d a', 'b a b b b c c c e d d d');
    expect(krippendorffAlpha(data, 'nominal')).toBeCloseTo(0.692, 3);
  });

  const fourObservers = units(
    '1 2 3 3 2 1 4 1 2 . . .',
    '1 2 3 3 2 2 4 1 2 5 . 3',
    '. 3 3 3 2 3 4 2 2 5 1 .',
    '1 2 3 3 2 4 4 1 2 5 1 .',
  );
  test.each([
    ['nominal', 0.743],
    ['ordinal', 0.815],
    ['interval', 0.849],
    ['ratio', 0.797],
  ] as [Scale, number][])('C and D: four observers, missing values, %s', (scale, alpha) => {
    expect(krippendorffAlpha(fourObservers, scale)).toBeCloseTo(alpha, 3);
  });
});

describe('properties', () => {
  test.each(['nominal', 'ordinal', 'interval', 'ratio'] as Scale[])('full agreement is 1, %s', (scale) => {
    expect(krippendorffAlpha(units('1 2 3', '1 2 3'), scale)).toBe(1);
  });

  test.each([
    ['no unit', []],
    ['one observer', units('1 2 3')],
    ['no variation', units('2 2 2', '2 2 2')],
    ['nothing shared', units('1 . 2', '. 1 .')],
  ])('not defined: %s', (_, data) => expect(krippendorffAlpha(data, 'ordinal')).toBeNull());

  test('chance is about 0', () => {
    const random = new Philox(3);
    const data = Array.from({ length: 4000 }, () => Array.from({ length: 3 }, () => 1 + random.int(5)));
    expect(Math.abs(krippendorffAlpha(data, 'ordinal')!)).toBeLessThan(0.03);
  });

  test('a monotone map leaves ordinal α, another one changes interval α', () => {
    const data = units('1 2 3 4 5 3', '2 2 4 4 5 1');
    const squared = data.map((unit) => unit.map((value) => (value ?? 0) ** 2));
    expect(krippendorffAlpha(squared, 'ordinal')).toBeCloseTo(krippendorffAlpha(data, 'ordinal')!, 12);
    expect(krippendorffAlpha(squared, 'interval')).not.toBeCloseTo(krippendorffAlpha(data, 'interval')!, 3);
  });
});

describe('bootstrap', () => {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

  test('interval of a mean is that of the normal limit', () => {
    const random = new Philox(8);
    const values = Array.from({ length: 400 }, () => random.normal());
    const deviation = Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)) / values.length);
    const { low, high } = bootstrap(values, mean, { seed: 1, resamples: 2000 })!;
    expect(low).toBeCloseTo(mean(values) - 1.96 * deviation, 1.5);
    expect(high).toBeCloseTo(mean(values) + 1.96 * deviation, 1.5);
  });

  test('the same seed gives the same interval, another seed another', () => {
    const values = [1, 5, 3, 2, 2, 9, 4];
    const of = (seed: number) => bootstrap(values, mean, { seed, resamples: 200 });
    expect(of(4)).toEqual(of(4));
    expect(of(4)).not.toEqual(of(5));
  });

  test('samples without a value are left out and counted', () => {
    const interval = bootstrap([0, 1], (values) => (values[0] === values[1] ? null : 1), { seed: 1, resamples: 400 })!;
    expect(interval).toMatchObject({ low: 1, high: 1 });
    expect(Math.abs(interval.resamples - 200)).toBeLessThan(50);
    expect(bootstrap([], mean, { seed: 1 })).toBeNull();
    expect(bootstrap([1, 2], () => null, { seed: 1, resamples: 10 })).toBeNull();
  });
});
