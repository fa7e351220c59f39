import { listen } from './clock.ts';

interface Shared {
  result: Promise<unknown>;
  waiters: number;
  abort: AbortController;
}

/** Work by key, done once however many ask for it at the same time. */
export class InFlight {
  readonly #work = new Map<string, Shared>();

  /** Result of the work on its way under this key, or of `start`. Work is aborted when nobody waits for it any more. */
  async join<T>(key: string, start: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const running = this.#work.get(key);
    const shared = running ?? this.#start(key, start);
    shared.waiters++;
    let leave = () => {};
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(signal!.reason);
      if (signal) listen(signal, leave);
    });
    try {
      return (await (signal ? Promise.race([shared.result, left]) : shared.result)) as T;
    } finally {
      signal?.removeEventListener('abort', leave);
      if (--shared.waiters === 0) {
        shared.abort.abort(signal?.reason);
        if (this.#work.get(key) === shared) this.#work.delete(key);
      }
    }
  }

  #start(key: string, start: (signal: AbortSignal) => Promise<unknown>): Shared {
    const abort = new AbortController();
    const shared: Shared = { result: start(abort.signal), waiters: 0, abort };
    this.#work.set(key, shared);
    const done = () => {
      if (this.#work.get(key) === shared) this.#work.delete(key);
    };
    // Also marks the rejection as seen when all waiters have left
    shared.result.then(done, done);
    return shared;
  }
}
