import { availableParallelism } from 'node:os';
import type { ExpertRouting, LoadedModel } from '@unif2ace/core';
import { loadAttributeClassifier, loadModel } from '@unif2ace/core/node';
import type { Device } from '@unif2ace/graph';
import { findDevice } from '@unif2ace/graph/node';
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
import type { CallKind, EngineCall, EngineFolders, ResultOf } from './engine-protocol.ts';
import { type CallWatch, EngineThread } from './engine-thread.ts';
import { engineInfo } from './local-engine.ts';

export interface ThreadedEngineOptions extends EngineFolders {
  /** Default `auto`, as `UniF2ace.load` has it. */
  device?: Device | 'auto';
  /** Told once which device was chosen and why. */
  onDevice?: (device: Device, reason: string) => void;
  /** Calls under way at the same time. Default 8. More: more throughput up to 4 a thread, each a little slower. */
  concurrency?: number;
  /**
   * Threads with a model each. Default: 2 on a CPU of two cores or more, else 1. Calls that overlap are spread over them, and each
   * uses its share of the cores, so that none waits for another; a call that is alone has all cores. Memory grows with each.
   */
  threads?: number;
}

const defaultConcurrency = 8;

/** Models in threads of their own. */
export class ThreadedEngine implements Engine {
  readonly info: EngineInfo;
  readonly concurrency: number;
  readonly #tokenizer: LoadedModel['tokenizer'];
  readonly #threads: readonly EngineThread[];
  /** Resolves with the failure when a thread dies; never when the engine is closed. */
  readonly failed: Promise<Error>;

  /**
   * Loads the model folder and waits until its threads are ready.
   * @throws ModelError, SafetensorsError for a folder that cannot be used, DeviceError naming what can be had.
   */
  static async open(options: ThreadedEngineOptions): Promise<ThreadedEngine> {
    const { model: folder, attributes, concurrency = defaultConcurrency } = options;
    // the folder is checked here, where its errors keep their kind
    const model = await loadModel(folder);
    const classifier = attributes === null ? null : await loadAttributeClassifier(attributes);
    const { device, reason } = await findDevice(options.device);
    options.onDevice?.(device, reason);
    const cores = availableParallelism();
    const { threads: count = device === 'cpu' ? Math.min(2, cores) : 1 } = options;
    const coresEach = count > 1 ? Math.max(1, Math.floor(cores / count)) : null;
    const setup = { model: folder, attributes, device, coresEach };
    const starting = await Promise.allSettled(Array.from({ length: count }, () => EngineThread.start(setup)));
    const threads = starting.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failed = starting.find((one) => one.status === 'rejected');
    if (failed) {
      await Promise.all(threads.map((thread) => thread.close()));
      throw failed.reason;
    }
    return new ThreadedEngine(threads, engineInfo(model, classifier, threads[0]!.device), concurrency, model.tokenizer);
  }

  private constructor(
    threads: readonly EngineThread[],
    info: EngineInfo,
    concurrency: number,
    tokenizer: LoadedModel['tokenizer'],
  ) {
    this.#threads = threads;
    this.info = info;
    this.concurrency = concurrency;
    this.#tokenizer = tokenizer;
    this.failed = Promise.race(threads.map(({ failed }) => failed));
  }

  get failure(): Error | undefined {
    return this.#threads.find(({ failure }) => failure)?.failure;
  }

  countTokens(text: string): number {
    return this.#tokenizer.encode(text).length;
  }

  generate(request: SamplingRequest, watch: StepWatch): Promise<Uint8Array[]> {
    return this.#call('generate', request, watch);
  }

  edit(request: EditRequest, watch: StepWatch): Promise<Uint8Array[]> {
    return this.#call('edit', request, watch);
  }

  ask(request: AskRequest, watch: TextWatch): Promise<Answer> {
    return this.#call('ask', request, watch);
  }

  faces(request: FacesRequest, watch: { signal: AbortSignal }): Promise<FacesFound> {
    return this.#call('faces', request, watch);
  }

  routing(request: RoutingRequest, watch: { signal: AbortSignal }): Promise<ExpertRouting[]> {
    return this.#call('routing', request, watch);
  }

  /** In the thread with the fewest calls. */
  #call<K extends CallKind>(kind: K, request: EngineCall<K>['request'], watch: CallWatch): Promise<ResultOf<K>> {
    const alone = this.#threads.every(({ load }) => load === 0);
    const thread = this.#threads.reduce((best, other) => (other.load < best.load ? other : best));
    return thread.call<K>({ kind, request, alone }, watch);
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}
