/** How far apart two values are: any difference alike, by rank, by distance, or by distance relative to their size. */
export type Scale = 'nominal' | 'ordinal' | 'interval' | 'ratio';

/** What observers say of one unit; null or absent where one said nothing. */
export type UnitValues = readonly (number | null | undefined)[];

/**
 * Krippendorff's α (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"): 1 is perfect agreement, 0 what chance
 * would give. Any number of observers, missing values allowed; units with fewer than two values do not count. Nominal
 * values are numbers that stand for classes.
 * @returns null where α is not defined: nothing can be compared, or all values are the same.
 */
export function krippendorffAlpha(units: Iterable<UnitValues>, scale: Scale): number | null {
  return alphaOf([...units].map(coincidences), scale);
}

/** What units add to the sums α is made of; the contributions of units may be merged. */
export interface Coincidences {
  /** Ordered pairs of different values by different observers, each unit's pairs weighing as much as its values. */
  pairs: readonly (readonly [a: number, b: number, weight: number])[];
  /** How often each value was given in a unit where it can be compared. */
  totals: readonly (readonly [value: number, times: number])[];
}

export function coincidences(unit: UnitValues): Coincidences {
  const times = new Map<number, number>();
  let count = 0;
  for (const value of unit) {
    if (value === null || value === undefined) continue;
    times.set(value, (times.get(value) ?? 0) + 1);
    count++;
  }
  if (count < 2) return { pairs: [], totals: [] };
  const totals = [...times];
  const pairs = totals.flatMap(([a, timesA]) =>
    totals.flatMap(([b, timesB]) => (a === b ? [] : [[a, b, (timesA * timesB) / (count - 1)] as const])),
  );
  return { pairs, totals };
}

/** The units as one contribution, so that resampling need not count them anew. */
export function mergeCoincidences(units: Iterable<Coincidences>): Coincidences {
  const weights = new Map<number, Map<number, number>>();
  const times = new Map<number, number>();
  for (const { pairs, totals } of units) {
    for (const [value, count] of totals) times.set(value, (times.get(value) ?? 0) + count);
    for (const [a, b, weight] of pairs) {
      const row = weights.get(a) ?? new Map<number, number>();
      row.set(b, (row.get(b) ?? 0) + weight);
      weights.set(a, row);
    }
  }
  return {
    pairs: [...weights].flatMap(([a, row]) => [...row].map(([b, weight]) => [a, b, weight] as const)),
    totals: [...times],
  };
}

/** α of units given by their coincidences; null as in `krippendorffAlpha`. */
export function alphaOf(units: Iterable<Coincidences>, scale: Scale): number | null {
  const { pairs, totals } = mergeCoincidences(units);
  if (totals.length < 2) return null;
  const difference = squaredDifference(scale, totals);
  const count = totals.reduce((sum, [, times]) => sum + times, 0);
  const observed = pairs.reduce((sum, [a, b, weight]) => sum + weight * difference(a, b), 0);
  let expected = 0;
  for (const [a, timesA] of totals) {
    for (const [b, timesB] of totals) if (a !== b) expected += timesA * timesB * difference(a, b);
  }
  return 1 - ((count - 1) * observed) / expected;
}

function squaredDifference(scale: Scale, totals: Coincidences['totals']): (a: number, b: number) => number {
  if (scale === 'nominal') return () => 1;
  if (scale === 'interval') return (a, b) => (a - b) ** 2;
  if (scale === 'ratio') return (a, b) => ((a - b) / (a + b)) ** 2;
  const rank = new Map<number, number>();
  let below = 0;
  for (const [value, times] of [...totals].sort(([a], [b]) => a - b)) {
    // Half of its own: with this, the sum over the values from a to b is a difference
    rank.set(value, below + times / 2);
    below += times;
  }
  return (a, b) => (rank.get(a)! - rank.get(b)!) ** 2;
}
