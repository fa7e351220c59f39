import type { LoadProgress } from '@unif2ace/core';
import type { EngineInfo as ModelInfo } from '../../server/engine.ts';
import {
  type ChatMessage,
  type EditRegion,
  EngineError,
  type EngineInfo,
  type FaceSource,
  type FacesInPhoto,
  type GeneratedFaces,
  type GenerateSettings,
  type GenerateWatch,
  type RoutedFace,
  type Routing,
  type StudioEngine,
} from '../engine.ts';
import type { CallName, Calls, FromWorker, ModelAddresses, Prediction, ToWorker, WantedDevice } from './protocol.ts';

/** Bounds that keep a page's work in minutes. */
const limits = {
  ...{ count: 16, steps: 100, guidance: 100, temperature: 100, candidates: 8 },
  photoBytes: 64 * 2 ** 20,
} as const;

interface Pending {
  resolve(result: unknown): void;
  reject(error: unknown): void;
  onEvent?: ((event: FromWorker) => void) | undefined;
}

const pngOf = (bytes: Uint8Array) => new Blob([bytes as Uint8Array<ArrayBuffer>], { type: 'image/png' });

/** The model in the page itself, in a worker: nothing leaves the page. */
export class BrowserEngine implements StudioEngine {
  readonly #worker: Worker;
  readonly #addresses: ModelAddresses;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  #model: ModelInfo | undefined;
  /** Told when the GPU is lost and WebAssembly goes on. */
  onDevice: (device: string, reason: string) => void = () => {};

  constructor(worker: Worker, addresses: ModelAddresses) {
    this.#worker = worker;
    this.#addresses = addresses;
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#take(data);
    worker.onerror = (event) => this.#end(`model: ${event.message || 'its worker ended'}; try to reload the page`);
  }

  /** What loading would take, from the sizes of the files alone. */
  predict(device: WantedDevice): Promise<Prediction> {
    return this.#call('predict', { addresses: this.#addresses, device });
  }

  /** Loads model and engine; gives why that device. */
  async load(device: WantedDevice, onProgress: (progress: LoadProgress) => void): Promise<string> {
    const { info, reason } = await this.#call('load', { addresses: this.#addresses, device }, undefined, (event) => {
      if (event.kind === 'progress') onProgress(event.progress);
    });
    this.#model = info;
    return reason;
  }

  async info(): Promise<EngineInfo> {
    const { name, hash, imageSize, tokenGrid, device, attributes, guidance } = this.#loaded;
    return { place: 'browser', model: { name, hash, imageSize, tokenGrid }, device, attributes, guidance, limits };
  }

  get #loaded(): ModelInfo {
    if (!this.#model) throw new EngineError('model: expected to be loaded, got none; try to reload the page');
    return this.#model;
  }

  generate(settings: GenerateSettings, watch: GenerateWatch = {}): Promise<GeneratedFaces> {
    return this.#pictures('generate', this.#sampling(settings), watch);
  }

  edit(
    { picture, face }: FaceSource,
    region: EditRegion,
    settings: GenerateSettings,
    watch: GenerateWatch = {},
  ): Promise<GeneratedFaces> {
    return this.#pictures('edit', { ...this.#sampling(settings), picture, face, region }, watch);
  }

  #sampling(settings: GenerateSettings) {
    return { ...settings, sizePixels: this.#loaded.imageSize, previews: settings.steps };
  }

  async faces(photo: Blob, face: FaceSource['face'] = 1, signal?: AbortSignal): Promise<FacesInPhoto> {
    const { width, height, faces, chosen } = await this.#call('faces', { picture: photo, face }, signal);
    const found = faces.map(({ box, score }, i) => ({ index: i + 1, box, score }));
    if (!chosen) return { width, height, faces: found };
    const index = chosen.index === 'aligned' ? 0 : chosen.index;
    return {
      width,
      height,
      faces: found,
      chosen: { index, crop: pngOf(chosen.crop), attributes: chosen.attributes },
    };
  }

  async *ask(
    { picture, face }: FaceSource,
    messages: readonly ChatMessage[],
    signal?: AbortSignal,
  ): AsyncGenerator<string> {
    const pieces: string[] = [];
    let [wake, ended] = [() => {}, false];
    const request = { picture, face, question: messages.at(-1)?.text ?? '', temperature: 0, topP: 1, seed: 0 };
    const answer = this.#call('ask', request, signal, (event) => {
      if (event.kind === 'text') pieces.push(event.piece);
      wake();
    }).finally(() => {
      ended = true;
      wake();
    });
    answer.catch(() => {});
    for (;;) {
      while (pieces.length > 0) yield pieces.shift()!;
      if (ended) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    await answer;
  }

  async routing({ settings, index, picture }: RoutedFace, signal?: AbortSignal): Promise<Routing> {
    const { prompt, seed, steps, guidance, temperature } = settings;
    const request = { prompt, seed, index, steps, guidance, temperature, picture: picture ?? null };
    const layers = await this.#call('routing', request, signal);
    return { task: 't2i', tokenGrid: this.#loaded.tokenGrid, steps, layers };
  }

  close(): void {
    this.#worker.terminate();
    this.#end('model: it was closed; try to reload the page');
  }

  async #pictures<K extends 'generate' | 'edit'>(
    kind: K,
    request: Calls[K]['request'],
    { signal, onStep, onQueued }: GenerateWatch,
  ): Promise<GeneratedFaces> {
    const startMs = performance.now();
    onQueued?.(0);
    const images = await this.#call(kind, request, signal, async (event) => {
      if (event.kind !== 'step') return;
      const { step, steps, images: made } = event.step;
      const shown = await Promise.all(
        made.flatMap(({ index, masked, preview }) =>
          preview ? [createImageBitmap(pngOf(preview)).then((picture) => ({ index, masked, picture }))] : [],
        ),
      );
      if (onStep && !signal?.aborted) onStep({ step, steps, images: shown });
      else for (const { picture } of shown) picture.close();
    });
    return { images: (images as Uint8Array[]).map(pngOf), elapsedMs: performance.now() - startMs };
  }

  #call<K extends CallName>(
    kind: K,
    request: Calls[K]['request'],
    signal?: AbortSignal,
    onEvent?: (event: FromWorker) => void,
  ): Promise<Calls[K]['result']> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const id = this.#nextId++;
    const abort = () => {
      this.#worker.postMessage({ kind: 'abort', id } satisfies ToWorker);
      // the worker may be in the middle of a step
      this.#pending.get(id)?.reject(signal!.reason);
    };
    const result = new Promise<Calls[K]['result']>((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as Pending['resolve'], reject, onEvent });
    }).finally(() => {
      this.#pending.delete(id);
      signal?.removeEventListener('abort', abort);
    });
    signal?.addEventListener('abort', abort, { once: true });
    this.#worker.postMessage({ kind, id, request } as ToWorker);
    return result;
  }

  #take(message: FromWorker): void {
    if (message.kind === 'device') {
      if (this.#model) this.#model = { ...this.#model, device: message.device };
      this.onDevice(message.device, message.reason);
      return;
    }
    const pending = this.#pending.get(message.id);
    if (message.kind === 'done') pending?.resolve(message.result);
    else if (message.kind === 'failed') pending?.reject(new EngineError(message.message));
    else pending?.onEvent?.(message);
  }

  #end(message: string): void {
    for (const { reject } of this.#pending.values()) reject(new EngineError(message, { retry: true }));
  }
}
