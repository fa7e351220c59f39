import { Philox, streamFromName } from '@unif2ace/graph';

export interface AssignmentOptions {
  /** Number of records. */
  count: number;
  ratersPerItem: number;
  itemsPerRater: number;
  seed: number;
  /** Name of the item of a record; null where it has nothing to rate. */
  itemAt(index: number): Promise<string | null>;
  nowMs(): number;
  /** An item that was shown and not rated goes to others after this time. */
  holdMs: number;
}

/** `limit`: the rater has done their share; `all-rated`: nothing is left for them; `waiting`: others hold what is left. */
export type Assigned = { item: string; index: number } | { done: 'limit' | 'all-rated' | 'waiting' };

/**
 * Who rates what. Items come in one seeded order, and each is given out until it has its number of raters before the next
 * is begun: with as many raters as that, whatever is rated is rated by several.
 */
export class Assignment {
  readonly #options: AssignmentOptions;
  readonly #order: Int32Array;
  readonly #raters = new Map<string, Set<string>>();
  readonly #items = new Map<string, Set<string>>();
  /** What each rater has on the screen. */
  readonly #held = new Map<string, { item: string; index: number; sinceMs: number }>();
  readonly #shown = new Map<string, Map<string, { index: number; sinceMs: number }>>();
  #firstOpen = 0;

  constructor(options: AssignmentOptions) {
    this.#options = options;
    this.#order = new Philox(options.seed, ...streamFromName('review-order')).permutation(options.count);
  }

  /** Raters who have joined or rated. */
  get raters(): readonly { rater: string; ratings: number }[] {
    return [...this.#raters].map(([rater, items]) => ({ rater, ratings: items.size }));
  }

  /** Items with at least one rating, and those that have all of theirs. */
  get items(): { begun: number; complete: number } {
    const counts = [...this.#items.values()].map(({ size }) => size);
    return { begun: counts.length, complete: counts.filter((size) => size >= this.#options.ratersPerItem).length };
  }

  isKnown(rater: string): boolean {
    return this.#raters.has(rater);
  }

  join(rater: string): void {
    if (!this.#raters.has(rater)) this.#raters.set(rater, new Set());
  }

  hasRated(rater: string, item: string): boolean {
    return this.#raters.get(rater)?.has(item) ?? false;
  }

  /** When an item was shown to a rater since the start; undefined when it was not. */
  shown(rater: string, item: string): { index: number; sinceMs: number } | undefined {
    return this.#shown.get(rater)?.get(item);
  }

  rated(rater: string, item: string): void {
    this.join(rater);
    this.#raters.get(rater)!.add(item);
    const raters = this.#items.get(item) ?? new Set();
    this.#items.set(item, raters.add(rater));
    if (this.#held.get(rater)?.item === item) this.#held.delete(rater);
  }

  /** The item a rater is to see; the same one until it is rated. */
  async next(rater: string): Promise<Assigned> {
    const { ratersPerItem, itemsPerRater, itemAt, nowMs } = this.#options;
    this.join(rater);
    const own = this.#raters.get(rater)!;
    if (own.size >= itemsPerRater) return { done: 'limit' };
    const held = this.#held.get(rater);
    if (held) {
      held.sinceMs = nowMs();
      return { item: held.item, index: held.index };
    }
    let waiting = false;
    for (let position = this.#firstOpen; position < this.#order.length; position++) {
      const index = this.#order[position]!;
      const item = await itemAt(index);
      const ratings = item === null ? ratersPerItem : (this.#items.get(item)?.size ?? 0);
      if (item === null || ratings >= ratersPerItem) {
        if (position === this.#firstOpen) this.#firstOpen++;
        continue;
      }
      if (own.has(item)) continue;
      if (ratings + this.#holders(item, rater) >= ratersPerItem) {
        waiting = true;
        continue;
      }
      this.#hold(rater, item, index);
      return { item, index };
    }
    return { done: waiting ? 'waiting' : 'all-rated' };
  }

  #hold(rater: string, item: string, index: number): void {
    const sinceMs = this.#options.nowMs();
    this.#held.set(rater, { item, index, sinceMs });
    const shown = this.#shown.get(rater) ?? new Map();
    this.#shown.set(rater, shown.set(item, { index, sinceMs }));
  }

  #holders(item: string, except: string): number {
    const since = this.#options.nowMs() - this.#options.holdMs;
    let count = 0;
    for (const [rater, held] of this.#held) {
      if (held.item === item && rater !== except && held.sinceMs >= since) count++;
    }
    return count;
  }
}
