import { randomBytes } from 'node:crypto';
import { ApiError, stopping } from './errors.ts';

export interface QueueOptions {
  /** Jobs that may wait; further ones are refused. */
  capacity: number;
  /** Jobs under way at the same time. */
  concurrency: number;
  /** Told after a job: how long it waited and ran. */
  onDone?(kind: string, waitedMs: number, ranMs: number): void;
}

export interface JobWatch {
  /** Cancels the job: the client went away. */
  signal: AbortSignal;
  /** Jobs before this one; 0 when its turn has come. May be called before `submit` returns. */
  onPosition?(position: number, id: string): void;
}

export interface Job<T> {
  id: string;
  result: Promise<T>;
}

interface Entry {
  id: string;
  kind: string;
  controller: AbortController;
  state: 'queued' | 'running';
  sinceMs: number;
  position: number;
  start(): void;
  watch: JobWatch;
}

/** The client went away; nobody reads this. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

const cancelled = () =>
  new ApiError(400, 'cancelled', 'the job was cancelled by DELETE /v1/jobs/{id}; send the request again');

/** Bounded first-in, first-out queue in front of a model. */
export class JobQueue {
  readonly #options: QueueOptions;
  readonly #waiting: Entry[] = [];
  readonly #running = new Map<string, Entry>();
  #stopping = false;
  #idle: (() => void)[] = [];

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get running(): number {
    return this.#running.size;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** @throws ApiError 429 when full, 503 when stopping. */
  submit<T>(kind: string, run: (signal: AbortSignal, id: string) => Promise<T>, watch: JobWatch): Job<T> {
    if (this.#stopping) throw stopping();
    if (this.#waiting.length >= this.#options.capacity)
      throw new ApiError(429, 'queue_full', `expected at most ${this.#options.capacity} waiting requests; try later`, {
        retryAfterSeconds: 2,
      });
    const id = `job_${randomBytes(16).toString('base64url')}`;
    const controller = new AbortController();
    const result = new Promise<T>((resolve, reject) => {
      const entry: Entry = {
        id,
        kind,
        controller,
        state: 'queued',
        sinceMs: performance.now(),
        position: -1,
        watch,
        start: () => {
          const startMs = performance.now();
          run(controller.signal, id)
            .then(resolve, reject)
            .finally(() => {
              this.#running.delete(id);
              this.#options.onDone?.(kind, startMs - entry.sinceMs, performance.now() - startMs);
              this.#next();
            });
        },
      };
      const onAbort = () => {
        // a running job ends by itself, after the step under way
        const at = this.#waiting.indexOf(entry);
        if (at < 0) return;
        this.#waiting.splice(at, 1);
        reject(controller.signal.reason);
        this.#next();
      };
      controller.signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(entry);
    });
    result.catch(() => {});
    const gone = () => controller.abort(new ClientGone('the client went away'));
    if (watch.signal.aborted) gone();
    else watch.signal.addEventListener('abort', gone, { once: true });
    this.#next();
    return { id, result };
  }

  #next(): void {
    while (this.#running.size < this.#options.concurrency && this.#waiting.length > 0) {
      const entry = this.#waiting.shift()!;
      entry.state = 'running';
      this.#running.set(entry.id, entry);
      this.#tell(entry, 0);
      entry.start();
    }
    this.#waiting.forEach((entry, i) => {
      this.#tell(entry, this.#running.size + i);
    });
    if (this.#running.size + this.#waiting.length === 0) for (const idle of this.#idle.splice(0)) idle();
  }

  #tell(entry: Entry, position: number): void {
    if (entry.position === position) return;
    entry.position = position;
    entry.watch.onPosition?.(position, entry.id);
  }

  #find(id: string): Entry | undefined {
    return this.#running.get(id) ?? this.#waiting.find((entry) => entry.id === id);
  }

  state(id: string): 'queued' | 'running' | undefined {
    return this.#find(id)?.state;
  }

  /** False for a job that is unknown or over. */
  cancel(id: string): boolean {
    const entry = this.#find(id);
    entry?.controller.abort(cancelled());
    return entry !== undefined;
  }

  /** Takes no more jobs and waits for those it has; what is left after the time ends with an error. */
  async drain(withinMs: number): Promise<void> {
    this.#stopping = true;
    if (this.#running.size + this.#waiting.length === 0) return;
    const idle = new Promise<void>((resolve) => this.#idle.push(resolve));
    const timer = setTimeout(() => {
      for (const entry of [...this.#waiting, ...this.#running.values()]) entry.controller.abort(stopping());
    }, withinMs);
    await idle;
    clearTimeout(timer);
  }
}
