import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { OnnxModel } from '../onnx/model.ts';
import { type Runtime, type Session, SessionError, type SessionOptions, type TensorValues } from './session.ts';
import type { WorkerReply, WorkerRequest } from './worker-protocol.ts';

/**
 * ONNX Runtime on the CPU in a worker thread of its own, so that the event loop never blocks.
 * Feeds are copied to the worker, results are copied back. `close` ends the thread.
 */
export function workerRuntime(defaults: SessionOptions = {}): Runtime {
  const link = new WorkerLink();
  const open = async (request: WorkerRequest) => {
    const reply = await link.ask(request);
    if (reply.kind !== 'session') throw new SessionError(`worker: expected a session, got ${reply.kind}`);
    return new WorkerSession(link, reply);
  };
  return {
    device: 'cpu',
    createSession: (model: OnnxModel, options) => open({ kind: 'create', model, options: { ...defaults, ...options } }),
    loadSession: (bytes, options) => open({ kind: 'load', bytes, options: { ...defaults, ...options } }),
    close: () => link.close(),
  };
}

/** A worker from the module `name` beside the caller's file (`base` is its import.meta.url). */
export function startWorker(name: string, base: string, workerData?: unknown): Worker {
  if (!base.endsWith('.ts')) return new Worker(new URL(`./${name}.js`, base), { workerData });
  // from TypeScript source, in development: a thread does not inherit the loader, so it registers one first
  const tsx = pathToFileURL(createRequire(base).resolve('tsx/package.json'));
  const loader = new URL('./dist/esm/api/index.mjs', tsx).href;
  const entry = new URL(`./${name}.ts`, base).href;
  const code = `import(${JSON.stringify(loader)}).then(({ register }) => { register(); return import(${JSON.stringify(entry)}); })`;
  return new Worker(code, { eval: true, workerData, execArgv: ['--conditions=source'] });
}

class WorkerLink {
  readonly #worker = startWorker('worker-host', import.meta.url);
  readonly #pending = new Map<number, { resolve: (reply: WorkerReply) => void; reject: (error: Error) => void }>();
  #nextId = 0;
  #failure: Error | null = null;

  constructor() {
    this.#worker.on('message', ({ id, reply }: { id: number; reply: WorkerReply }) => {
      const waiting = this.#pending.get(id);
      this.#pending.delete(id);
      if (this.#pending.size === 0) this.#worker.unref();
      if (reply.kind === 'error') waiting?.reject(new SessionError(reply.message));
      else waiting?.resolve(reply);
    });
    this.#worker.on('error', (error) =>
      this.#fail(new SessionError(`worker: the inference thread died: ${error.message}`)),
    );
    this.#worker.on('exit', (code) =>
      this.#fail(new SessionError(`worker: the inference thread ended with code ${code}`)),
    );
    this.#worker.unref();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.values()) reject(this.#failure);
    this.#pending.clear();
  }

  ask(request: WorkerRequest): Promise<WorkerReply> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage({ id, request });
    });
  }

  async close(): Promise<void> {
    this.#failure ??= new SessionError('worker: the runtime is closed');
    await this.#worker.terminate();
  }
}

class WorkerSession implements Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #link: WorkerLink;
  readonly #id: number;

  constructor(
    link: WorkerLink,
    opened: { session: number; inputNames: readonly string[]; outputNames: readonly string[] },
  ) {
    this.#link = link;
    this.#id = opened.session;
    this.inputNames = opened.inputNames;
    this.outputNames = opened.outputNames;
  }

  async run(feeds: TensorValues, fetches?: readonly string[] | TensorValues): Promise<TensorValues> {
    const buffers = fetches && !Array.isArray(fetches) ? (fetches as TensorValues) : null;
    const names = buffers ? Object.keys(buffers) : (fetches as readonly string[] | undefined);
    const reply = await this.#link.ask({ kind: 'run', session: this.#id, feeds: compact(feeds), fetches: names });
    if (reply.kind !== 'values') throw new SessionError(`worker: expected values, got ${reply.kind}`);
    if (!buffers) return reply.values;
    for (const [name, buffer] of Object.entries(buffers)) buffer.data.set(reply.values[name]!.data as never);
    return buffers;
  }

  async release(): Promise<void> {
    await this.#link.ask({ kind: 'release', session: this.#id });
  }
}

/** A view of a large buffer would travel with the whole buffer: send its own elements only. */
function compact(feeds: TensorValues): TensorValues {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, value]) => [
      name,
      value.data.byteLength === value.data.buffer.byteLength ? value : { ...value, data: value.data.slice() },
    ]),
  );
}
