import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { startWorker } from '@unif2ace/graph/node';
import { DataError } from '../celeba.ts';
import type { FaceReply, FaceRequest, WorkerSetup } from './face-worker.ts';

interface Waiting {
  request: FaceRequest;
  resolve: (reply: FaceReply) => void;
  reject: (error: Error) => void;
}

/** Threads that look at photos; each has one request under way and takes the next from a common queue. */
export class FaceWorkers {
  readonly size: number;
  readonly #workers: Worker[];
  readonly #idle: Worker[] = [];
  readonly #queue: Waiting[] = [];
  readonly #busy = new Map<Worker, Waiting>();
  #closed = false;

  constructor(setup: WorkerSetup, size = availableParallelism()) {
    this.size = size;
    this.#workers = Array.from({ length: size }, () => {
      const worker = startWorker('face-worker', import.meta.url, setup);
      worker.on('message', (reply: FaceReply) => this.#finish(worker, reply));
      worker.on('error', (error) => this.#fail(new DataError(`data: a worker thread died: ${error.message}`)));
      worker.on('exit', (code) => {
        if (!this.#closed) this.#fail(new DataError(`data: a worker thread ended early with code ${code}`));
      });
      this.#idle.push(worker);
      return worker;
    });
  }

  /** @throws DataError when a thread fails. */
  ask<K extends FaceRequest['kind']>(
    request: Extract<FaceRequest, { kind: K }>,
  ): Promise<Extract<FaceReply, { kind: K }> | Extract<FaceReply, { kind: 'unusable' }>> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ request, resolve: resolve as (reply: FaceReply) => void, reject });
      this.#next();
    });
  }

  #next(): void {
    while (this.#idle.length > 0 && this.#queue.length > 0) {
      const worker = this.#idle.pop()!;
      const waiting = this.#queue.shift()!;
      this.#busy.set(worker, waiting);
      worker.postMessage(waiting.request);
    }
  }

  #finish(worker: Worker, reply: FaceReply): void {
    const waiting = this.#busy.get(worker);
    this.#busy.delete(worker);
    this.#idle.push(worker);
    if (reply.kind === 'failed') waiting?.reject(new DataError(reply.message));
    else waiting?.resolve(reply);
    this.#next();
  }

  #fail(error: Error): void {
    for (const { reject } of [...this.#busy.values(), ...this.#queue.splice(0)]) reject(error);
    this.#busy.clear();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

/** Runs `work` over items with at most `limit` under way; results come in the items' order. */
export async function* inOrder<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const underWay: Promise<R>[] = [];
  for await (const item of items) {
    const promise = work(item);
    // a later failure is met when its turn comes, not as an unhandled rejection before
    promise.catch(() => {});
    underWay.push(promise);
    if (underWay.length >= limit) yield await underWay.shift()!;
  }
  while (underWay.length > 0) yield await underWay.shift()!;
}
