import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type OnnxModel, tensorFault } from '../onnx/model.ts';
import {
  type Runtime,
  type Session,
  SessionError,
  type SessionOptions,
  type TensorValue,
  type TensorValues,
} from './session.ts';
import type { StateId, StateRun, States } from './states.ts';
import { movable, type WorkerReply, type WorkerRequest, type WorkerStart } from './worker-protocol.ts';

/**
 * ONNX Runtime in a worker thread of its own, so that the event loop never blocks.
 * Feeds and weights are copied once and the copies moved to the worker; results are moved back. `close` rejects what is
 * pending and resolves when the thread has ended, after the run under way: the engine cannot be interrupted.
 */
export function workerRuntime(defaults: SessionOptions = {}): Runtime {
  const link = new WorkerLink();
  const open = async (request: WorkerRequest, moved: readonly ArrayBuffer[] = []) => {
    const reply = await link.ask(request, moved);
    if (reply.kind !== 'session') throw new SessionError(`worker: expected a session, got ${reply.kind}`);
    return new WorkerSession(link, reply);
  };
  return {
    device: defaults.device ?? 'cpu',
    createSession: async (model: OnnxModel, options) => {
      const { copies: initializers, moved } = movable(model.initializers);
      return open({ kind: 'create', model: { ...model, initializers }, options: { ...defaults, ...options } }, moved);
    },
    loadSession: (file, options) => open({ kind: 'load', file, options: { ...defaults, ...options } }),
    states: new WorkerStates(link),
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
  readonly #closing = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker = startWorker('worker-host', import.meta.url, { closing: this.#closing } satisfies WorkerStart);
  readonly #ended = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
  readonly #pending = new Map<number, { resolve: (reply: WorkerReply) => void; reject: (error: Error) => void }>();
  #nextId = 0;
  #failure: Error | null = null;

  constructor() {
    this.#worker.on('message', ({ id, reply }: { id: number; reply: WorkerReply }) => {
      const waiting = this.#pending.get(id);
      this.#pending.delete(id);
      if (this.#pending.size === 0 && !this.#failure) this.#worker.unref();
      if (reply.kind === 'error') waiting?.reject(new SessionError(reply.message));
      else waiting?.resolve(reply);
    });
    this.#worker.on('error', (error) =>
      this.#fail(new SessionError(`worker: the inference thread died: ${error.message}`)),
    );
    this.#worker.on('messageerror', (error) =>
      this.#fail(new SessionError(`worker: an answer of the inference thread cannot be read: ${error.message}`)),
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

  ask(request: WorkerRequest, moved: readonly ArrayBuffer[] = []): Promise<WorkerReply> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      // before it is noted as pending: what cannot be cloned throws here
      this.#worker.postMessage({ id, request }, moved);
      this.#pending.set(id, { resolve, reject });
      this.#worker.ref();
    });
  }

  async close(): Promise<void> {
    this.#fail(new SessionError('worker: the runtime is closed'));
    Atomics.store(this.#closing, 0, 1);
    // not terminate(): inside a run of the engine it aborts the whole process
    this.#worker.ref();
    this.#worker.postMessage({ id: this.#nextId++, request: { kind: 'close' } satisfies WorkerRequest });
    await this.#ended;
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
    const { copies, moved } = movable(Object.values(feeds));
    const sent = Object.fromEntries(Object.keys(feeds).map((name, i) => [name, copies[i]!]));
    const reply = await this.#link.ask({ kind: 'run', session: this.#id, feeds: sent, fetches: names }, moved);
    if (reply.kind !== 'values') throw new SessionError(`worker: expected values, got ${reply.kind}`);
    if (!buffers) return reply.values;
    for (const [name, buffer] of Object.entries(buffers)) checkBuffer(name, buffer, reply.values[name]!);
    for (const [name, buffer] of Object.entries(buffers)) buffer.data.set(reply.values[name]!.data as never);
    return buffers;
  }

  async runStates(request: StateRun): Promise<TensorValues> {
    const { copies, moved } = movable(Object.values(request.feeds));
    const feeds = Object.fromEntries(Object.keys(request.feeds).map((name, i) => [name, copies[i]!]));
    const reply = await this.#link.ask({ kind: 'runStates', session: this.#id, request: { ...request, feeds } }, moved);
    if (reply.kind !== 'values') throw new SessionError(`worker: expected values, got ${reply.kind}`);
    return reply.values;
  }

  async release(): Promise<void> {
    await this.#link.ask({ kind: 'release', session: this.#id });
  }
}

/** States that live in the worker. Requests are served in order, so numbers can be given out here at once. */
class WorkerStates implements States {
  readonly #link: WorkerLink;
  #nextId = 0;

  constructor(link: WorkerLink) {
    this.#link = link;
  }

  /** What fails here fails again in the run that needs the state, and is told there. */
  #send(request: WorkerRequest): void {
    this.#link.ask(request).catch(() => {});
  }

  create(shapes: Readonly<Record<string, readonly number[]>>): StateId {
    const id = this.#nextId++;
    this.#send({ kind: 'createState', id, shapes });
    return id;
  }

  clone(state: StateId): StateId {
    const id = this.#nextId++;
    this.#send({ kind: 'cloneState', id, from: state });
    return id;
  }

  free(state: StateId): void {
    this.#send({ kind: 'freeState', id: state });
  }

  run(session: Session, request: StateRun): Promise<TensorValues> {
    if (!(session instanceof WorkerSession))
      return Promise.reject(new SessionError('states: expected a session of the same runtime; create it there'));
    return session.runStates(request);
  }
}

function checkBuffer(name: string, buffer: TensorValue, result: TensorValue): void {
  const got = `${buffer.dtype}[${buffer.shape.join(', ')}]`;
  const expected = `${result.dtype}[${result.shape.join(', ')}]`;
  if (got !== expected) throw new SessionError(`run: buffer of output ${name} expected ${expected}, got ${got}`);
  const fault = tensorFault(buffer);
  if (fault) throw new SessionError(`run: buffer of output ${name}: ${fault}`);
}
