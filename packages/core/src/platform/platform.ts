import type { Device, DeviceChoice, Runtime, SessionOptions } from '@unif2ace/graph';
import type { ModelSource } from '../model/source.ts';

/** How far loading has come, in bytes of the files of model and engine. */
export interface LoadProgress {
  loadedBytes: number;
  /** Null when the server does not tell the size of its files. */
  totalBytes: number | null;
  /** Of those loaded, what a former load had kept. */
  cachedBytes: number;
}

/** What loading would take. */
export interface LoadPrediction {
  /** To be downloaded, null when the server does not tell the size of its files; 0 in Node. */
  downloadBytes: number | null;
  /** Kept by a former load. */
  cachedBytes: number;
}

export interface LoadWatch {
  device: Device | 'auto';
  onProgress: ((progress: LoadProgress) => void) | undefined;
  /** Told when a device is lost and another goes on. */
  onFallback: ((device: Device, reason: string) => void) | undefined;
  signal: AbortSignal | undefined;
}

/** The steps of one loading. */
export interface Loading {
  /** Where the files of a model lie: a bundled name, a folder, an address. @throws ModelError */
  findModel(model: string | URL): Promise<ModelSource>;
  /** Of the files of the model that was found, and of the engine. */
  readonly prediction: LoadPrediction;
  /** @throws DeviceError naming what can be had. */
  openRuntime(options: SessionOptions): Promise<DeviceChoice & { runtime: Runtime }>;
}

/** What loading a model needs of the place where the program runs; `#platform` is the one of Node or of the browser. */
export interface Platform {
  loading(watch: LoadWatch): Loading;
}
