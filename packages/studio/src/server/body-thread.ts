import type { Worker } from 'node:worker_threads';
import type { PixelImage } from '@unif2ace/core';
import type { ReducedImage } from '@unif2ace/core/node';
import { startWorker } from '@unif2ace/graph/node';
import { ApiError } from './errors.ts';
import type { Form } from './parse-body.ts';

/** What a thread does with what comes in and goes out. */
export type BodyWork =
  | { kind: 'json'; body: Uint8Array<ArrayBuffer> }
  | { kind: 'form'; body: Uint8Array<ArrayBuffer>; type: string }
  | { kind: 'photo'; bytes: Uint8Array; param: string }
  | { kind: 'mask'; bytes: Uint8Array; photo: Pick<ReducedImage, 'upright'> }
  | { kind: 'base64'; bytes: Uint8Array };

interface Results {
  json: unknown;
  form: Form;
  photo: ReducedImage;
  mask: PixelImage;
  base64: Uint8Array;
}

export type BodyReply = { id: number } & (
  | { result: Results[keyof Results] }
  | { refused: { status: number; code: string; message: string; param: string | null } }
  | { failed: string }
);

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** Work that takes much memory, a few at a time. */
class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number) {
    this.#free = places;
  }

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

const own = ({ buffer, byteLength }: Uint8Array): ArrayBuffer[] =>
  buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];

/** A thread in which large bodies are read, photos decoded and pictures spelled out, so that none of it takes the event loop. It does not keep a process alive. */
export class BodyThread {
  readonly #pending = new Map<number, Pending>();
  /** Two photos at a time: a decoder may need hundreds of megabytes. */
  readonly #decoding = new Gate(2);
  #worker: Worker | undefined;
  #nextId = 0;

  constructor() {
    // begun now, so that the first photo need not wait for it
    this.#started();
  }

  /** Takes the body's buffer away. @throws ApiError */
  json(body: Uint8Array<ArrayBuffer>): Promise<unknown> {
    return this.#do({ kind: 'json', body }, [body.buffer]);
  }

  /** Takes the body's buffer away. @throws ApiError */
  form(body: Uint8Array<ArrayBuffer>, type: string): Promise<Form> {
    return this.#do({ kind: 'form', body, type }, [body.buffer]);
  }

  /** Takes the buffer away where the bytes are all of it. @throws ApiError */
  photo(bytes: Uint8Array, param: string): Promise<ReducedImage> {
    return this.#decoding.pass(() => this.#do({ kind: 'photo', bytes, param }, own(bytes)));
  }

  /** Takes the buffer away where the bytes are all of it. @throws ApiError unless it has the size of the photo. */
  mask(bytes: Uint8Array, { upright }: ReducedImage): Promise<PixelImage> {
    return this.#decoding.pass(() => this.#do({ kind: 'mask', bytes, photo: { upright } }, own(bytes)));
  }

  /** A picture as base64, in bytes: texts of megabytes would be garbage to collect. Takes the buffer away where the bytes are all of it. */
  async base64(bytes: Uint8Array): Promise<Uint8Array> {
    if (bytes.length === 0) throw new Error('base64: expected a picture, got no bytes: it was handed over before');
    return this.#do({ kind: 'base64', bytes }, own(bytes));
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #do<K extends BodyWork['kind']>(work: BodyWork & { kind: K }, moved: ArrayBuffer[] = []): Promise<Results[K]> {
    const id = this.#nextId++;
    return new Promise<Results[K]>((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as Pending['resolve'], reject });
      this.#started().postMessage({ id, work }, moved);
    }).finally(() => this.#pending.delete(id));
  }

  /** The thread; another one when the last has died. */
  #started(): Worker {
    if (this.#worker) return this.#worker;
    const worker = startWorker('body-worker', import.meta.url);
    worker.unref();
    worker.on('message', (reply: BodyReply) => this.#take(reply));
    const fail = (error: Error) => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      for (const { reject } of this.#pending.values()) reject(error);
    };
    worker.on('error', (error) => fail(new Error(`bodies: the thread died: ${error.message}`)));
    worker.on('messageerror', () => void worker.terminate());
    worker.on('exit', (code) => fail(new Error(`bodies: the thread ended with code ${code}`)));
    this.#worker = worker;
    return worker;
  }

  #take(reply: BodyReply): void {
    const pending = this.#pending.get(reply.id);
    if (!pending) return;
    if ('result' in reply) pending.resolve(reply.result);
    else if ('failed' in reply) pending.reject(new Error(reply.failed));
    else {
      const { status, code, message, param } = reply.refused;
      pending.reject(new ApiError(status, code, message, { param }));
    }
  }
}
