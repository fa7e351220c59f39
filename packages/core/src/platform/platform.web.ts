import type { Device } from '@unif2ace/graph';
import { engineFile, openRuntime, usableDevice } from '@unif2ace/graph/web';
import { type ModelSource, modelFiles } from '../model/source.ts';
import { Downloads } from './downloads.ts';
import type { Loading, LoadWatch, Platform } from './platform.ts';

/** The files of a model below an address, which need not end in a slash, and the engine's. */
class WebLoading implements Loading {
  readonly #device: Device | 'auto';
  readonly #onFallback: LoadWatch['onFallback'];
  readonly #downloads: Downloads;

  constructor({ device, onFallback, onProgress, signal }: LoadWatch) {
    this.#device = device;
    this.#onFallback = onFallback;
    this.#downloads = new Downloads(onProgress, signal);
  }

  async findModel(model: string | URL): Promise<ModelSource> {
    const base = baseOf(model);
    await this.#downloads.plan(await this.#files(base));
    return this.#downloads.source(base);
  }

  get prediction() {
    return this.#downloads.prediction;
  }

  async #files(base: URL): Promise<URL[]> {
    const engine = engineFile(await usableDevice(this.#device));
    return [...Object.values(modelFiles).map((file) => new URL(file, base)), engine];
  }

  openRuntime: Loading['openRuntime'] = (options) =>
    openRuntime(this.#device, {
      ...options,
      fetchFile: (file) => this.#downloads.get(file),
      onFallback: this.#onFallback,
    });
}

function baseOf(model: string | URL): URL {
  const { location } = globalThis as { location?: { href: string } };
  return new URL(String(model).replace(/\/?$/, '/'), location?.href);
}

export const platform: Platform = { loading: (watch) => new WebLoading(watch) };
