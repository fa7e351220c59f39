import { Philox, streamFromName } from '@unif2ace/graph';

export interface Interval {
  low: number;
  high: number;
  /** Resamples the interval comes from: those in which the figure is defined. */
  resamples: number;
}

export interface BootstrapOptions {
  seed: number;
  /** Default 2000. */
  resamples?: number;
  /** Share of resamples in the interval. Default 0.95. */
  coverage?: number;
}

/**
 * Percentile interval of a figure over items drawn anew, with replacement (Efron 1979).
 * @returns null where no resample has the figure.
 */
export function bootstrap<T>(
  items: readonly T[],
  figure: (sample: readonly T[]) => number | null,
  { seed, resamples = 2000, coverage = 0.95 }: BootstrapOptions,
): Interval | null {
  if (items.length === 0) return null;
  const stream = new Philox(seed, ...streamFromName('review-bootstrap'));
  const values: number[] = [];
  for (let i = 0; i < resamples; i++) {
    const value = figure(items.map(() => items[stream.int(items.length)]!));
    if (value !== null) values.push(value);
  }
  if (values.length === 0) return null;
  values.sort((a, b) => a - b);
  const at = (share: number) => values[Math.round(share * (values.length - 1))]!;
  return { low: at((1 - coverage) / 2), high: at((1 + coverage) / 2), resamples: values.length };
}
