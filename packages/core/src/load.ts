import type { Device, Runtime } from '@unif2ace/graph';
import { platform } from '#platform';
import type { Precision } from './engine/graph-cache.ts';
import { predictedMemoryBytes } from './model/memory.ts';
import { type LoadedModel, type ModelSource, readModel, readModelConfig } from './model/source.ts';
import type { Loading, LoadPrediction, LoadProgress } from './platform/platform.ts';

/** A bundled name ("pico"), the path or address of a model folder, files from elsewhere, or a model in memory. */
export type ModelReference = string | URL | ModelSource | LoadedModel;

export interface LoadOptions {
  /**
   * Where to compute. Default `auto`: the first of CUDA, CoreML and DirectML that the installed engine has and that works, else
   * the CPU. `webgpu` must be asked for. What cannot be had is an error that names what can.
   */
  device?: Device | 'auto';
  /** Threads of one operator. Default: all cores. 1 leaves the other cores alone; more than there are cores slows down. */
  threads?: number;
  /**
   * `prepacked` (default) rearranges the weights of every graph once: products are up to 15 % faster, start-up takes longer and
   * memory grows with every batch size in use. `plain` computes from the weights as they are. `mapped`, in Node alone, puts the
   * weights of all graphs into one temporary file that is mapped: least memory for large models, which must fit on that disk.
   */
  weights?: 'prepacked' | 'plain' | 'mapped';
  /**
   * Bits of the backbone's matrices. Default `fp32`. `int8` and `int4` take a quarter and an eighth of the memory and are faster with
   * large models; `int8` hardly changes what is said and drawn, `int4` does (docs/library.md has the figures).
   */
  precision?: Precision;
  /** A runtime of yours in place of `device` and `threads`. It is not closed with the model. */
  runtime?: Runtime;
  /** Told which device was chosen and why; in the browser again when the GPU is lost and WebAssembly goes on. */
  onDevice?: (device: string, reason: string) => void;
  /** In the browser: told how much of model and engine has been downloaded, or was kept from the last time. */
  onProgress?: (progress: LoadProgress) => void;
  signal?: AbortSignal;
}

/** What a facade is made of. */
export interface Opened {
  model: LoadedModel;
  runtime: Runtime;
  ownsRuntime: boolean;
  precision: Precision;
}

/** Reads the model, opens the device. @throws ModelError, SafetensorsError, DeviceError, RangeError, the signal's reason. */
export async function open(reference: ModelReference, options: LoadOptions): Promise<Opened> {
  const {
    device = 'auto',
    threads,
    weights = 'prepacked',
    precision = 'fp32',
    runtime: given,
    onDevice,
    onProgress,
    signal,
  } = options;
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 1024))
    throw new RangeError(`load: threads: expected a whole number from 1 to 1,024, got ${threads}`);
  if (!['prepacked', 'plain', 'mapped'].includes(weights))
    throw new RangeError(`load: weights: expected prepacked, plain or mapped, got ${weights}`);
  if (!['fp32', 'int8', 'int4'].includes(precision))
    throw new RangeError(`load: precision: expected fp32, int8 or int4, got ${precision}`);
  signal?.throwIfAborted();
  const loading = platform.loading({ device, onProgress, onFallback: onDevice, signal });
  const model = await resolve(reference, loading).catch((error) => {
    // the reason, not the file whose reading it ended
    signal?.throwIfAborted();
    throw error;
  });
  signal?.throwIfAborted();
  if (given) {
    onDevice?.(given.device, 'a runtime was given');
    return { model, runtime: given, ownsRuntime: false, precision };
  }
  const opened = await loading.openRuntime({
    prepack: weights === 'prepacked',
    mapWeights: weights === 'mapped',
    ...(threads !== undefined && { intraOpThreads: threads }),
  });
  if (signal?.aborted) {
    await opened.runtime.close();
    signal.throwIfAborted();
  }
  onDevice?.(opened.device, opened.reason);
  return { model, runtime: opened.runtime, ownsRuntime: true, precision };
}

/** What loading a model would take; of its files only the description is read. @throws ModelError */
export async function predict(
  reference: string | URL,
  { device = 'auto', signal }: Pick<LoadOptions, 'device' | 'signal'>,
): Promise<LoadPrediction & { memoryBytes: number }> {
  const loading = platform.loading({ device, signal, onProgress: undefined, onFallback: undefined });
  const source = await loading.findModel(reference);
  const { prediction } = loading;
  return { ...prediction, memoryBytes: predictedMemoryBytes(await readModelConfig(source)) };
}

async function resolve(reference: ModelReference, loading: Loading): Promise<LoadedModel> {
  if (typeof reference === 'string' || reference instanceof URL) return readModel(await loading.findModel(reference));
  return 'read' in reference ? readModel(reference) : reference;
}
