import { backoffMs, type Clock, linkSignals } from './clock.ts';
import type { LlmEvent } from './events.ts';
import { classifyError, Fault, LlmRunError, RateLimited } from './faults.ts';

export interface TrafficOptions {
  url: string;
  model: string;
  /** Requests on their way at the same time. */
  concurrency: number;
  /** Longest pause that is waited out; a longer one ends the run. */
  maxPauseMs: number;
  clock: Clock;
  onEvent: (event: LlmEvent) => void;
}

/** Pauses in a row without an answer between them that end the run. */
const maxFruitlessPauses = 30;

/** Lets requests through: so many at a time, none while the endpoint limits the rate, none after the run has ended. */
export class Traffic {
  readonly #options: TrafficOptions;
  readonly #slots: Slots;
  readonly #stop = new AbortController();
  #paused = false;
  #pausedUntilMs = 0;
  #fruitlessPauses = 0;

  constructor(options: TrafficOptions) {
    this.#options = options;
    this.#slots = new Slots(options.concurrency);
  }

  /**
   * Sends until there is an answer that is not 429; `timeoutMs` is for each request, until its body has been read.
   *
   * @throws Fault, LlmRunError, or the reason of the signal.
   */
  async send<T>(request: (signal: AbortSignal) => Promise<T>, timeoutMs: number, signal?: AbortSignal): Promise<T> {
    for (;;) {
      await this.#enter(signal);
      try {
        const answer = await this.#attempt(request, timeoutMs, signal);
        this.#fruitlessPauses = 0;
        return answer;
      } catch (error) {
        if (error instanceof LlmRunError) throw this.stop(error);
        if (!(error instanceof RateLimited)) {
          if (error instanceof Fault && error.status !== null) this.#fruitlessPauses = 0;
          throw error;
        }
        this.#pause(error.retryAfterMs);
      } finally {
        this.#slots.release();
      }
    }
  }

  /** Sleeps; wakes when the signal fires or the run ends. */
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const linked = linkSignals(signal, this.#stop.signal);
    try {
      linked.signal.throwIfAborted();
      await this.#options.clock.sleep(ms, linked.signal);
    } finally {
      linked.unlink();
    }
  }

  /** Ends the run. Requests on their way may still be answered: they are paid for. Returns the error that ended it. */
  stop(error: LlmRunError): LlmRunError {
    if (this.#stop.signal.aborted) return this.#stop.signal.reason as LlmRunError;
    this.#stop.abort(error);
    this.#options.onEvent({ type: 'stopped', error });
    return error;
  }

  /** Takes a slot when none is paused. */
  async #enter(signal: AbortSignal | undefined): Promise<void> {
    const linked = linkSignals(signal, this.#stop.signal);
    try {
      for (;;) {
        linked.signal.throwIfAborted();
        await this.#slots.acquire(linked.signal);
        const waitMs = this.#pausedUntilMs - this.#options.clock.nowMs();
        if (waitMs <= 0) break;
        this.#slots.release();
        await this.#options.clock.sleep(waitMs, linked.signal);
      }
    } finally {
      linked.unlink();
    }
    if (!this.#paused) return;
    this.#paused = false;
    this.#options.onEvent({ type: 'resumed' });
  }

  async #attempt<T>(request: (signal: AbortSignal) => Promise<T>, timeoutMs: number, signal?: AbortSignal): Promise<T> {
    const linked = linkSignals(signal);
    const timedOut = new Fault('timeout');
    const timer = setTimeout(() => linked.abort(timedOut), timeoutMs);
    try {
      return await request(linked.signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (linked.signal.aborted) throw timedOut;
      if (error instanceof Fault || error instanceof LlmRunError) throw error;
      const { url, model, clock } = this.#options;
      throw classifyError(error, { url, model, nowMs: clock.nowMs() });
    } finally {
      clearTimeout(timer);
      linked.unlink();
    }
  }

  #pause(retryAfterMs: number | undefined): void {
    const { clock, maxPauseMs, url, onEvent } = this.#options;
    if (!this.#paused) this.#fruitlessPauses++;
    const forMs = retryAfterMs ?? backoffMs(url, Math.max(1, this.#fruitlessPauses));
    if (forMs > maxPauseMs || this.#fruitlessPauses > maxFruitlessPauses) {
      const got =
        forMs > maxPauseMs
          ? `Retry-After ${Math.ceil(forMs / 1000)} s, more than maxPauseMs ${maxPauseMs}`
          : `429 after each of ${maxFruitlessPauses} pauses`;
      throw this.stop(new LlmRunError(`llm: expected ${url} to take requests, got ${got}; try again later`, 429));
    }
    const untilMs = clock.nowMs() + forMs;
    // Later answers of the same burst only lengthen the pause
    if (this.#paused && untilMs <= this.#pausedUntilMs) return;
    this.#paused = true;
    this.#pausedUntilMs = untilMs;
    onEvent({ type: 'paused', untilMs, forMs });
  }
}

/** Counting semaphore, first come first served. */
class Slots {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  acquire(signal: AbortSignal): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        this.#waiting.delete(enter);
        reject(signal.reason);
      };
      const enter = () => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      signal.addEventListener('abort', giveUp, { once: true });
      this.#waiting.add(enter);
    });
  }

  release(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#free++;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
