import type { Worker } from 'node:worker_threads';
import { startWorker } from '@unif2ace/graph/node';
import { EngineRefusal, type StepWatch, type TextWatch } from './engine.ts';
import type { CallKind, EngineCall, EngineSetup, FromThread, ResultOf, ToThread } from './engine-protocol.ts';

export type CallWatch = { signal: AbortSignal } & Partial<Pick<StepWatch, 'onStep'> & Pick<TextWatch, 'onText'>>;

interface Call extends CallWatch {
  resolve(result: ResultOf<CallKind>): void;
  reject(error: unknown): void;
}

/** A thread with a model, and the calls that are under way in it. */
export class EngineThread {
  readonly device: string;
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  readonly #calls = new Map<number, Call>();
  #nextId = 0;
  #failure: Error | undefined;
  /** Resolves with the failure when the thread dies; never when it is closed. */
  readonly failed: Promise<Error>;
  #tellFailed: (error: Error) => void = () => {};

  /** Resolves when the model is loaded. */
  static async start(setup: EngineSetup): Promise<EngineThread> {
    const worker = startWorker('engine-worker', import.meta.url, setup);
    const device = await new Promise<string>((resolve, reject) => {
      worker.once('message', (message: FromThread) => {
        if (message.kind === 'ready') resolve(message.device);
      });
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new Error(`engine: the thread ended at its start with code ${code}`)));
    });
    return new EngineThread(worker, device);
  }

  private constructor(worker: Worker, device: string) {
    this.device = device;
    this.#worker = worker;
    this.failed = new Promise((resolve) => {
      this.#tellFailed = resolve;
    });
    this.#ended = new Promise((resolve) => worker.once('exit', () => resolve()));
    worker.on('message', (message: FromThread) => this.#take(message));
    worker.on('error', (error) => this.#fail(new Error(`engine: the thread died: ${error.message}`)));
    worker.on('exit', (code) => this.#fail(new Error(`engine: the thread ended with code ${code}`)));
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Calls under way. */
  get load(): number {
    return this.#calls.size;
  }

  /** @throws EngineRefusal, the signal's reason, the thread's failure. */
  call<K extends CallKind>(call: EngineCall<K>, watch: CallWatch): Promise<ResultOf<K>> {
    const { signal } = watch;
    if (this.#failure) return Promise.reject(this.#failure);
    if (signal.aborted) return Promise.reject(signal.reason);
    const id = this.#nextId++;
    const abort = () => this.#send({ kind: 'abort', id });
    return new Promise<ResultOf<CallKind>>((resolve, reject) => {
      this.#calls.set(id, { ...watch, resolve, reject });
      signal.addEventListener('abort', abort, { once: true });
      this.#send({ ...call, id } as ToThread);
    }).finally(() => {
      this.#calls.delete(id);
      signal.removeEventListener('abort', abort);
    }) as Promise<ResultOf<K>>;
  }

  #send(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  #take(message: FromThread): void {
    if (message.kind === 'ready') return;
    const call = this.#calls.get(message.id);
    if (!call) return;
    if (message.kind === 'done') call.resolve(message.result);
    else if (message.kind === 'refused') call.reject(new EngineRefusal(message.code, message.message));
    else if (message.kind === 'aborted') call.reject(call.signal.reason);
    else if (message.kind === 'failed') call.reject(new Error(message.message));
    else if (call.signal.aborted) return;
    else if (message.kind === 'step') call.onStep?.(message.step);
    else call.onText?.(message.piece);
  }

  #fail(error: Error): void {
    if (!this.#failure) this.#tellFailed(error);
    this.#failure ??= error;
    for (const call of [...this.#calls.values()]) call.reject(this.#failure);
  }

  /** Ends what is under way between two steps, then the thread. */
  async close(): Promise<void> {
    this.#failure ??= new Error('engine: closed');
    this.#send({ kind: 'close' });
    await this.#ended;
  }
}
