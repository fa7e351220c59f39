/** One step of a request, as it takes part in a run of the network. */
export interface BatchItem {
  /** Rows of the run that it needs. */
  readonly rows: number;
  /** Only items of one kind share a run. */
  readonly kind: string | number;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Continuous batching: steps that requests ask for at about the same time share one run, each request at a step of its own.
 * First come, first served: who was left out of a run is in the next. One run at a time; there is no timer, a lone request waits
 * for nobody.
 */
export class StepBatcher<Item extends BatchItem, Result> {
  readonly #budget: number;
  readonly #run: (items: readonly Item[]) => Promise<readonly Result[]>;
  #waiting: Waiting<Item, Result>[] = [];
  #busy = false;

  /** `budget`: rows of one run; an item larger than that runs alone. */
  constructor(budget: number, run: (items: readonly Item[]) => Promise<readonly Result[]>) {
    this.#budget = budget;
    this.#run = run;
  }

  /** @throws what the run throws; the signal's reason while the step has not begun. */
  submit(item: Item, signal?: AbortSignal): Promise<Result> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise<Result>((resolve, reject) => {
      this.#waiting.push({ item, signal, resolve, reject });
      void this.#pump();
    });
  }

  async #pump(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    while (this.#waiting.length > 0) {
      // who asks in this turn takes part
      await turn();
      const chosen = this.#choose();
      if (chosen.length === 0) continue;
      const outcome = await this.#run(chosen.map(({ item }) => item)).catch((error: unknown) => ({ error }));
      const delivered = this.#deliver(chosen, outcome);
      // a full run that waits need not wait for what requests make of this one
      if (this.#waiting.reduce((rows, { item }) => rows + item.rows, 0) < this.#budget) await delivered;
    }
    this.#busy = false;
  }

  /** One request a turn of the event loop: what each does with its result at once must not add up to a pause. */
  async #deliver(
    chosen: readonly Waiting<Item, Result>[],
    outcome: readonly Result[] | { error: unknown },
  ): Promise<void> {
    for (const [i, { resolve, reject }] of chosen.entries()) {
      if ('error' in outcome) reject(outcome.error);
      else resolve(outcome[i]!);
      await turn();
    }
  }

  #choose(): Waiting<Item, Result>[] {
    const [gone, present] = [
      this.#waiting.filter((w) => w.signal?.aborted),
      this.#waiting.filter((w) => !w.signal?.aborted),
    ];
    for (const { signal, reject } of gone) reject(signal!.reason);
    const chosen: Waiting<Item, Result>[] = [];
    let rows = 0;
    for (const next of present) {
      if (chosen.length > 0 && next.item.kind !== chosen[0]!.item.kind) continue;
      if (chosen.length > 0 && rows + next.item.rows > this.#budget) break;
      chosen.push(next);
      rows += next.item.rows;
    }
    this.#waiting = present.filter((w) => !chosen.includes(w));
    return chosen;
  }
}

/** The next turn of the event loop. */
export function turn(): Promise<void> {
  const host = globalThis as { setImmediate?: (run: () => void) => unknown };
  return new Promise((resolve) => {
    if (host.setImmediate) host.setImmediate(resolve);
    else setTimeout(resolve);
  });
}

/** Batch sizes that graphs are made for: few, since each holds its own rearranged weights. */
const sizes = [1, 2, 4, 6, 8];

/** The smallest batch size with room for the rows. */
export function batchSize(rows: number): number {
  return sizes.find((size) => size >= rows) ?? 8 * Math.ceil(rows / 8);
}

/** Items up to the batch size: the first one again where there are too few. */
export function padded<T>(items: readonly T[]): T[] {
  return Array.from({ length: batchSize(items.length) }, (_, i) => items[i] ?? items[0]!);
}
