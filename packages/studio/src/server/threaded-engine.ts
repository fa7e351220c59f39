import type { Worker } from 'node:worker_threads';
import type { ExpertRouting, LoadedModel } from '@unif2ace/core';
import { loadAttributeClassifier, loadModel } from '@unif2ace/core/node';
import { startWorker } from '@unif2ace/graph/node';
import type {
  Answer,
  AskRequest,
  EditRequest,
  Engine,
  EngineInfo,
  FacesFound,
  FacesRequest,
  RoutingRequest,
  SamplingRequest,
  StepWatch,
  TextWatch,
} from './engine.ts';
import { EngineRefusal } from './engine.ts';
import type { CallKind, EngineFolders, FromThread, ResultOf, ToThread } from './engine-protocol.ts';
import { engineInfo } from './local-engine.ts';

interface Call {
  signal: AbortSignal;
  onStep?: StepWatch['onStep'];
  onText?: TextWatch['onText'];
  resolve(result: ResultOf<CallKind>): void;
  reject(error: unknown): void;
}

/** An engine in a thread of its own. */
export class ThreadedEngine implements Engine {
  readonly info: EngineInfo;
  readonly concurrency = 1;
  readonly #tokenizer: LoadedModel['tokenizer'];
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  readonly #calls = new Map<number, Call>();
  #nextId = 0;
  #failure: Error | undefined;
  /** Resolves with the failure when the thread dies; never when it is closed. */
  readonly failed: Promise<Error>;
  #tellFailed: (error: Error) => void = () => {};

  /**
   * Loads the model folder and waits until its thread is ready.
   * @throws ModelError, SafetensorsError for a folder that cannot be used.
   */
  static async open(folders: EngineFolders): Promise<ThreadedEngine> {
    // the folder is checked here, where its errors keep their kind
    const model = await loadModel(folders.model);
    const classifier = folders.attributes === null ? null : await loadAttributeClassifier(folders.attributes);
    const worker = startWorker('engine-worker', import.meta.url, folders);
    const device = await new Promise<string>((resolve, reject) => {
      worker.once('message', (message: FromThread) => {
        if (message.kind === 'ready') resolve(message.device);
      });
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new Error(`engine: the thread ended at its start with code ${code}`)));
    });
    return new ThreadedEngine(worker, engineInfo(model, classifier, device), model.tokenizer);
  }

  private constructor(worker: Worker, info: EngineInfo, tokenizer: LoadedModel['tokenizer']) {
    this.info = info;
    this.#worker = worker;
    this.#tokenizer = tokenizer;
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

  countTokens(text: string): number {
    return this.#tokenizer.encode(text).length;
  }

  generate(request: SamplingRequest, watch: StepWatch): Promise<Uint8Array[]> {
    return this.#call({ kind: 'generate', id: this.#nextId++, request }, watch) as Promise<Uint8Array[]>;
  }

  edit(request: EditRequest, watch: StepWatch): Promise<Uint8Array[]> {
    return this.#call({ kind: 'edit', id: this.#nextId++, request }, watch) as Promise<Uint8Array[]>;
  }

  ask(request: AskRequest, watch: TextWatch): Promise<Answer> {
    return this.#call({ kind: 'ask', id: this.#nextId++, request }, watch) as Promise<Answer>;
  }

  faces(request: FacesRequest, watch: { signal: AbortSignal }): Promise<FacesFound> {
    return this.#call({ kind: 'faces', id: this.#nextId++, request }, watch) as Promise<FacesFound>;
  }

  routing(request: RoutingRequest, watch: { signal: AbortSignal }): Promise<ExpertRouting[]> {
    return this.#call({ kind: 'routing', id: this.#nextId++, request }, watch) as Promise<ExpertRouting[]>;
  }

  #call(
    message: Exclude<ToThread, { kind: 'abort' | 'close' }>,
    watch: Pick<Call, 'signal'> & Partial<StepWatch & TextWatch>,
  ): Promise<ResultOf<CallKind>> {
    const { signal, onStep, onText } = watch;
    if (this.#failure) return Promise.reject(this.#failure);
    if (signal.aborted) return Promise.reject(signal.reason);
    const { id } = message;
    const abort = () => this.#worker.postMessage({ kind: 'abort', id } satisfies ToThread);
    return new Promise<ResultOf<CallKind>>((resolve, reject) => {
      this.#calls.set(id, { signal, resolve, reject, ...(onStep && { onStep }), ...(onText && { onText }) });
      signal.addEventListener('abort', abort, { once: true });
      this.#worker.postMessage(message);
    }).finally(() => {
      this.#calls.delete(id);
      signal.removeEventListener('abort', abort);
    });
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

  async close(): Promise<void> {
    this.#failure ??= new Error('engine: closed');
    this.#worker.postMessage({ kind: 'close' } satisfies ToThread);
    await this.#ended;
  }
}
