import { createHash } from 'node:crypto';

/** How a whole number is distributed, e.g. tokens per caption. */
export interface Distribution {
  count: number;
  /** Exact, also where values were pooled; 0 of none. */
  mean: number;
  min: number;
  /** Nearest rank. */
  percentile10: number;
  median: number;
  percentile90: number;
  max: number;
  /** Value and how often it was seen, by value; values of `pooledFrom` and more are counted as `pooledFrom`. */
  histogram: [value: number, count: number][];
  pooledFrom: number;
}

const defaultPooledFrom = 4096;

/** Counts whole numbers in memory that does not grow with them. */
export class Tally {
  readonly #counts: Map<number, number> = new Map();
  readonly #pooledFrom: number;
  #count = 0;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;

  constructor(pooledFrom: number = defaultPooledFrom) {
    this.#pooledFrom = pooledFrom;
  }

  add(value: number): void {
    const bin = Math.min(value, this.#pooledFrom);
    this.#counts.set(bin, (this.#counts.get(bin) ?? 0) + 1);
    this.#count++;
    this.#sum += value;
    this.#min = Math.min(this.#min, value);
    this.#max = Math.max(this.#max, value);
  }

  distribution(): Distribution {
    const histogram = [...this.#counts].sort(([a], [b]) => a - b);
    const rank = (share: number) => {
      let left = Math.max(1, Math.ceil(share * this.#count));
      for (const [value, count] of histogram) {
        left -= count;
        if (left <= 0) return value;
      }
      return 0;
    };
    return {
      count: this.#count,
      mean: this.#count === 0 ? 0 : this.#sum / this.#count,
      min: this.#count === 0 ? 0 : this.#min,
      percentile10: rank(0.1),
      median: rank(0.5),
      percentile90: rank(0.9),
      max: this.#max,
      histogram,
      pooledFrom: this.#pooledFrom,
    };
  }
}

/** Number of different values; an estimate where `exact` is false. */
export interface DistinctCount {
  count: number;
  exact: boolean;
}

/**
 * Counts different texts in bounded memory: exact up to `limit`, beyond that estimated from the `limit` smallest hashes
 * (Bar-Yossef et al. 2002); the standard error is 1/√limit.
 */
export class DistinctTally {
  readonly #limit: number;
  #smallest: Set<number> = new Set();
  #threshold = 1;

  constructor(limit: number = 65_536) {
    this.#limit = limit;
  }

  add(text: string): void {
    const hash = createHash('sha256').update(text).digest().readUIntBE(0, 6) / 2 ** 48;
    if (hash >= this.#threshold) return;
    this.#smallest.add(hash);
    if (this.#smallest.size >= 2 * this.#limit) this.#shrink();
  }

  count(): DistinctCount {
    if (this.#smallest.size > this.#limit) this.#shrink();
    if (this.#threshold === 1) return { count: this.#smallest.size, exact: true };
    let largest = 0;
    for (const hash of this.#smallest) largest = Math.max(largest, hash);
    return { count: Math.round((this.#smallest.size - 1) / largest), exact: false };
  }

  #shrink(): void {
    const sorted = [...this.#smallest].sort((a, b) => a - b);
    this.#threshold = sorted[this.#limit]!;
    this.#smallest = new Set(sorted.slice(0, this.#limit));
  }
}

/** Counts by name; names beyond the first `limit` are counted as `otherName`. */
export class NameTally {
  static readonly otherName = '(other)';
  readonly #counts: Map<string, number> = new Map();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(name: string): void {
    const counted = this.#counts.has(name) || this.#counts.size < this.#limit ? name : NameTally.otherName;
    this.#counts.set(counted, (this.#counts.get(counted) ?? 0) + 1);
  }

  /** Most frequent first; names of equal frequency by name. */
  entries(): [name: string, count: number][] {
    return [...this.#counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  }
}
