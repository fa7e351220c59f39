import { firstLine } from './devices.ts';

/** ONNX Runtime of the browser in one of its builds. */
type Ort = typeof import('onnxruntime-web');

/** What the browser computes on: `cpu` is WebAssembly. */
export const webDevices = ['cpu', 'webgpu'] as const;
export type WebDevice = (typeof webDevices)[number];

export interface EngineOptions {
  /** Threads of WebAssembly. Default: all cores; always 1 in a page that is not isolated from other origins. */
  threads?: number | undefined;
  /** Brings the engine's file, which then is not fetched by the engine itself: from a cache, with progress. */
  fetchFile?: ((file: URL) => Promise<Uint8Array>) | undefined;
}

/** An engine that runs: one of each device in a page or worker, its threads and memory shared by all sessions. */
export interface Engine {
  readonly ort: Ort;
  /** One piece of work after the other: a run that waits for the GPU must not be entered again. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
}

/** What a page or a worker of the browser tells of itself. */
interface Host {
  crossOriginIsolated?: boolean;
  navigator?: { hardwareConcurrency?: number; gpu?: { requestAdapter(): Promise<object | null> } };
}

const host = globalThis as Host;
const engines = new Map<WebDevice, Promise<Engine>>();

/** Address of the engine's WebAssembly, where the bundler put it: 14 MB, with WebGPU 27 MB. */
export function engineFile(device: WebDevice): URL {
  // the addresses are written out, as bundlers look for them
  return device === 'webgpu'
    ? new URL('onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm', import.meta.url)
    : new URL('onnxruntime-web/ort-wasm-simd-threaded.wasm', import.meta.url);
}

/** Threads that can be had: 1 unless the page is isolated from other origins, else those asked for or all cores. */
function threadCount(wanted: number | undefined): number {
  if (!host.crossOriginIsolated) return 1;
  return Math.max(1, wanted ?? host.navigator?.hardwareConcurrency ?? 1);
}

/** Threads that there will be and, where only one can be had, why. */
export function threadReason(wanted: number | undefined): string {
  const threads = threadCount(wanted);
  const why = host.crossOriginIsolated ? '' : ', since the page is not cross-origin isolated';
  return `WebAssembly, ${threads === 1 ? '1 thread' : `${threads} threads`}${why}`;
}

/** Why WebGPU cannot be had, null when there is an adapter. */
export async function webgpuFault(): Promise<string | null> {
  const { gpu } = host.navigator ?? {};
  if (!gpu) return 'this browser has no WebGPU';
  try {
    return (await gpu.requestAdapter()) ? null : 'WebGPU finds no adapter here';
  } catch (error) {
    return `WebGPU failed: ${firstLine(error)}`;
  }
}

/** The device that a wish comes to in this browser. */
export async function usableDevice(wanted: string): Promise<WebDevice> {
  return wanted === 'webgpu' && !(await webgpuFault()) ? 'webgpu' : 'cpu';
}

/** The page's engine for a device; whoever comes first chooses threads and file. */
export function loadEngine(device: WebDevice, options: EngineOptions): Promise<Engine> {
  const known = engines.get(device);
  if (known) return known;
  const opened = openEngine(device, options);
  engines.set(device, opened);
  // a failed download may be tried again
  opened.catch(() => engines.delete(device));
  return opened;
}

async function openEngine(device: WebDevice, { threads, fetchFile }: EngineOptions): Promise<Engine> {
  // scripts of their own, since threads load them again
  const [ort, file] = await Promise.all([
    device === 'webgpu' ? import('onnxruntime-web/webgpu') : import('onnxruntime-web/wasm'),
    fetchFile?.(engineFile(device)),
  ]);
  ort.env.wasm.numThreads = threadCount(threads);
  if (file) ort.env.wasm.wasmBinary = file;
  let last: Promise<unknown> = Promise.resolve();
  return {
    ort,
    exclusive: (work) => {
      const result = last.then(work);
      last = result.catch(() => {});
      return result;
    },
  };
}
