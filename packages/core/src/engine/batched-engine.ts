import type { PixelImage } from '../image/pixels.ts';
import type {
  AnswerOptions,
  EditOptions,
  FaceInput,
  GenerateOptions,
  GenerateStep,
  LookedAt,
  UniF2ace,
} from '../unif2ace.ts';
import { describeQuestion } from '../unif2ace.ts';

export interface EngineLimits {
  /** Requests under way at the same time; their steps share runs. Default 8. More: more throughput, each a little slower. */
  active?: number;
  /** Requests that may wait for their turn; one more is refused. Default 256. */
  waiting?: number;
}

/** What a queued request may be told. */
export interface Queued {
  /** Told how many requests are before this one, whenever that changes; 0 when it begins. */
  onQueued?: (ahead: number) => void;
}

/** A request that was refused because too many wait: try again later. */
export class QueueFullError extends Error {
  override name = 'QueueFullError';
}

interface Ticket {
  readonly begin: () => void;
  readonly onQueued: ((ahead: number) => void) | undefined;
}

/**
 * A bounded, fair queue before a model: first come, first served, a fixed number of requests under way, whose steps the model
 * runs together. A request goes on by itself once begun, however slowly its caller reads; its signal, or leaving the iteration,
 * ends it between two steps. Each gives what it gives alone.
 */
export class BatchedEngine {
  readonly #model: UniF2ace;
  readonly #limits: Required<EngineLimits>;
  #waiting: Ticket[] = [];
  #active = 0;
  #idle: (() => void)[] = [];

  /** @throws RangeError naming a limit out of range. */
  constructor(model: UniF2ace, limits: EngineLimits = {}) {
    this.#model = model;
    this.#limits = { active: 8, waiting: 256, ...limits };
    for (const [name, value, least] of [
      ['active', this.#limits.active, 1],
      ['waiting', this.#limits.waiting, 0],
    ] as const)
      if (!(Number.isInteger(value) && value >= least))
        throw new RangeError(`batchedEngine: ${name}: expected a whole number from ${least}, got ${value}`);
  }

  /** Requests under way and waiting. */
  get load(): { active: number; waiting: number } {
    return { active: this.#active, waiting: this.#waiting.length };
  }

  /** As `UniF2ace.generate`. @throws QueueFullError */
  generate(prompt: string, options: GenerateOptions & Queued = {}): AsyncGenerator<GenerateStep, PixelImage[]> {
    return this.#queued(options, (own) => this.#model.generate(prompt, own));
  }

  /** As `UniF2ace.edit`. @throws QueueFullError */
  edit(face: FaceInput, prompt: string, options: EditOptions & Queued): AsyncGenerator<GenerateStep, PixelImage[]> {
    return this.#queued(options, (own) => this.#model.edit(face, prompt, own));
  }

  /** As `UniF2ace.ask`. @throws QueueFullError */
  ask(
    face: FaceInput | LookedAt,
    question: string,
    options: AnswerOptions & Queued = {},
  ): AsyncGenerator<string, string> {
    return this.#queued(options, (own) => this.#model.ask(face, question, own));
  }

  /** As `UniF2ace.describe`. @throws QueueFullError */
  describe(face: FaceInput | LookedAt, options: AnswerOptions & Queued = {}): AsyncGenerator<string, string> {
    return this.ask(face, describeQuestion, options);
  }

  /** Resolves when nothing is under way and nothing waits. */
  async drain(): Promise<void> {
    if (this.#active + this.#waiting.length === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async *#queued<Options extends Queued & { signal?: AbortSignal }, Step, Result>(
    options: Options,
    begin: (options: Options) => AsyncGenerator<Step, Result>,
  ): AsyncGenerator<Step, Result> {
    const left = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, left.signal]) : left.signal;
    await this.#enter(signal, options.onQueued);
    const steps: Step[] = [];
    let wake = () => {};
    let outcome: { result: Result } | { error: unknown } | null = null;
    const work = async () => {
      const run = begin({ ...options, signal });
      for (;;) {
        const { value, done } = await run.next();
        if (done) return value;
        steps.push(value);
        wake();
      }
    };
    work()
      .then(
        (result) => {
          outcome = { result };
        },
        (error: unknown) => {
          outcome = { error };
        },
      )
      .finally(() => {
        this.#leave();
        wake();
      });
    try {
      for (;;) {
        while (steps.length > 0) yield steps.shift()!;
        const ended = outcome as { result: Result } | { error: unknown } | null;
        if (ended && 'result' in ended) return ended.result;
        if (ended) throw ended.error;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      left.abort();
    }
  }

  #enter(signal: AbortSignal, onQueued: Ticket['onQueued']): Promise<void> {
    signal.throwIfAborted();
    if (this.#active < this.#limits.active) {
      this.#active++;
      onQueued?.(0);
      return Promise.resolve();
    }
    if (this.#waiting.length >= this.#limits.waiting)
      throw new QueueFullError(
        `engine: expected at most ${this.#limits.waiting} waiting requests, got one more; try again later`,
      );
    return new Promise((resolve, reject) => {
      const gone = () => {
        this.#waiting = this.#waiting.filter((other) => other !== ticket);
        this.#tell();
        reject(signal.reason);
      };
      const ticket: Ticket = {
        onQueued,
        begin: () => {
          signal.removeEventListener('abort', gone);
          onQueued?.(0);
          resolve();
        },
      };
      signal.addEventListener('abort', gone, { once: true });
      this.#waiting.push(ticket);
      onQueued?.(this.#active + this.#waiting.length - 1);
    });
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next) {
      next.begin();
      this.#tell();
    } else this.#active--;
    if (this.#active === 0 && this.#waiting.length === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Everyone who waits, that the queue has become shorter. */
  #tell(): void {
    this.#waiting.forEach(({ onQueued }, i) => {
      onQueued?.(this.#active + i);
    });
  }
}
