import { setImmediate } from 'node:timers/promises';
import { quantile, wilsonInterval } from './interval.ts';

// Q queries, N gallery rows, D numbers a row

/** Rows of equal length, [N, D]. */
export interface Rows {
  data: ArrayLike<number>;
  rows: number;
  columns: number;
}

export interface Neighbour {
  /** Row of the gallery. */
  index: number;
  /** Euclidean. */
  distance: number;
}

/** Numbers between two looks at whether the nearest so far is already missed. */
const stride = 64;

/**
 * The nearest row of the gallery for each query, by exhaustive search; equal distances go to the earlier row.
 * @throws RangeError for rows of different length or an empty gallery.
 */
export async function nearestRows(
  queries: Rows,
  gallery: Rows,
  onProgress?: (done: number) => void,
): Promise<Neighbour[]> {
  const d = gallery.columns;
  if (queries.columns !== d || gallery.rows === 0)
    throw new RangeError(
      `nearestRows: expected rows of one length and a gallery, got ${queries.rows}×${queries.columns} and ${gallery.rows}×${d}`,
    );
  const found: Neighbour[] = [];
  for (let q = 0; q < queries.rows; q++) {
    found.push(nearest(queries.data, q * d, gallery));
    if (q % 16 === 15 || q === queries.rows - 1) {
      onProgress?.(q + 1);
      await setImmediate();
    }
  }
  return found;
}

function nearest(query: ArrayLike<number>, from: number, { data, rows, columns: d }: Rows): Neighbour {
  let [best, index] = [Number.POSITIVE_INFINITY, 0];
  for (let n = 0; n < rows; n++) {
    let sum = 0;
    for (let start = 0; start < d && sum < best; start += stride) {
      const end = Math.min(d, start + stride);
      for (let k = start, a = from + start, b = n * d + start; k < end; k++, a++, b++) {
        const difference = query[a]! - data[b]!;
        sum += difference * difference;
      }
    }
    if (sum < best) [best, index] = [sum, n];
  }
  return { index, distance: Math.sqrt(best) };
}

/** How near generated faces come to training faces, beside faces of people that were never trained on. */
export interface NearnessReport {
  /** Distances to the nearest training face: minimum, nearest 1 %, 5 %, median. */
  generated: NearnessQuantiles;
  test: NearnessQuantiles;
  /** Share of generated faces nearer than the nearest 1 % of test faces; about 0.01 where nothing is copied. */
  nearerThanOnePercent: number;
  /** 95 % (Wilson). */
  interval: { low: number; high: number };
  /** Share of generated faces nearer than every test face. */
  nearerThanAll: number;
}

interface NearnessQuantiles {
  minimum: number;
  onePercent: number;
  fivePercent: number;
  median: number;
}

const quantilesOf = (distances: readonly number[]): NearnessQuantiles => ({
  minimum: Math.min(...distances),
  onePercent: quantile(distances, 0.01),
  fivePercent: quantile(distances, 0.05),
  median: quantile(distances, 0.5),
});

export function nearness(generated: readonly number[], test: readonly number[]): NearnessReport {
  const of = { generated: quantilesOf(generated), test: quantilesOf(test) };
  const nearer = (limit: number) => generated.filter((distance) => distance < limit).length;
  const near = nearer(of.test.onePercent);
  return {
    ...of,
    nearerThanOnePercent: near / generated.length,
    interval: wilsonInterval(near, generated.length),
    nearerThanAll: nearer(of.test.minimum) / generated.length,
  };
}
