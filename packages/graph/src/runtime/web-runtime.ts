import { encodeModel } from '../onnx/encode.ts';
import type { OnnxModel } from '../onnx/model.ts';
import { CheckedSession, guard, infos } from './checked-session.ts';
import { chooseDevice, type Device, type DeviceChoice, firstLine } from './devices.ts';
import { MovingSession, watchLoss } from './gpu-loss.ts';
import { type Runtime, type Session, SessionError, type SessionOptions } from './session.ts';
import { LocalStates } from './states.ts';
import { tryOut } from './try-out.ts';
import { type Engine, loadEngine, threadReason, type WebDevice, webDevices, webgpuFault } from './web-engine.ts';

/** Options of sessions that a browser has. */
export interface WebOptions extends SessionOptions {
  /** Brings the engine's file: from a cache, with progress. Default: the engine fetches it. */
  fetchFile?: ((file: URL) => Promise<Uint8Array>) | undefined;
  /** Told when the GPU is lost and WebAssembly goes on: the new device and why. */
  onFallback?: ((device: Device, reason: string) => void) | undefined;
}

type Opener = (engine: Engine, device: WebDevice) => Promise<Session>;

/**
 * ONNX Runtime as WebAssembly in the calling thread, page or worker: `run` blocks it. On `webgpu` the GPU computes; when that is
 * lost, its sessions go on as WebAssembly, with the run that was under way. Threads and files are those of a page's first runtime.
 */
class WebRuntime implements Runtime {
  readonly states = new LocalStates();
  readonly #options: WebOptions;
  #device: WebDevice;
  #first: Session | null = null;
  #closed = false;

  constructor(device: WebDevice, options: WebOptions) {
    this.#device = device;
    this.#options = options;
  }

  get device(): WebDevice {
    return this.#device;
  }

  /** TopK and run-time shapes would go to the CPU and back. */
  get denseExperts(): boolean {
    return this.#device === 'webgpu';
  }

  createSession(model: OnnxModel, options?: SessionOptions): Promise<Session> {
    const all = { ...this.#options, ...options };
    if (all.mapWeights)
      throw new SessionError('createSession: mapped weights are files, which Node alone has; try plain');
    const { bytes, external } = encodeModel(model, { externalFile: (index) => `weight-${index}` });
    const externalData = external.map(({ file, data }) => ({ path: file, data }));
    return this.#open(async ({ ort, exclusive }, device) => {
      const given = { ...ortOptions(device, all), ...(external.length > 0 && { externalData }) };
      const create = () => ort.InferenceSession.create(bytes, given);
      const session = await exclusive(() => guard('createSession', create));
      return new CheckedSession(ort.Tensor, session, model, { symbolsAgree: true, fillsBuffers: false, exclusive });
    });
  }

  loadSession(file: Uint8Array | string, options?: SessionOptions): Promise<Session> {
    const all = { ...this.#options, ...options };
    return this.#open(async ({ ort, exclusive }, device) => {
      const given = ortOptions(device, all);
      const create = () =>
        typeof file === 'string' ? ort.InferenceSession.create(file, given) : ort.InferenceSession.create(file, given);
      const session = await exclusive(() => guard('loadSession', create));
      return new CheckedSession(ort.Tensor, session, infos(session), {
        symbolsAgree: false,
        fillsBuffers: false,
        exclusive,
      });
    });
  }

  /** Brings the engine's files and threads, so that nothing is fetched later, and sees whether it computes. */
  async start(): Promise<void> {
    // kept until the end: with its last session the engine gives up the GPU
    this.#first = await tryOut(this);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#first?.release();
  }

  async #open(open: Opener): Promise<Session> {
    const on = async (device: WebDevice) => open(await this.#engine(device), device);
    if (this.#device === 'cpu') return on('cpu');
    const engine = await this.#engine('webgpu');
    const session = await open(engine, 'webgpu');
    const loss = await watchLoss(engine);
    loss.onLost((why) => {
      if (this.#device === 'cpu' || this.#closed) return;
      this.#device = 'cpu';
      this.#options.onFallback?.('cpu', `the GPU was lost (${why}); ${threadReason(this.#options.intraOpThreads)}`);
    });
    return new MovingSession(session, loss, () => on('cpu'));
  }

  #engine(device: WebDevice): Promise<Engine> {
    return loadEngine(device, { threads: this.#options.intraOpThreads, fetchFile: this.#options.fetchFile });
  }
}

function ortOptions(device: WebDevice, options: SessionOptions) {
  return {
    executionProviders: [device === 'cpu' ? 'wasm' : device],
    graphOptimizationLevel: 'all',
    logSeverityLevel: options.logSeverity ?? 4,
    ...(options.prepack === false && { extra: { session: { disable_prepacking: '1' } } }),
  } as const;
}

/**
 * The runtime of the browser and why that device: `cpu` means WebAssembly there, with threads if the page is isolated from other
 * origins. `auto` is that; `webgpu` becomes that where there is no GPU to be had.
 * @throws DeviceError for a device that browsers do not have.
 */
export async function openRuntime(
  wanted: Device | 'auto' = 'auto',
  options: WebOptions = {},
): Promise<DeviceChoice & { runtime: Runtime }> {
  const plain = async (reason: string) => {
    const runtime = new WebRuntime('cpu', options);
    await runtime.start();
    return { device: 'cpu', reason, runtime } as const;
  };
  const threads = threadReason(options.intraOpThreads);
  if (wanted !== 'webgpu') {
    await chooseDevice(wanted, webDevices, async () => {});
    return plain(threads);
  }
  const fault = await webgpuFault();
  if (fault) return plain(`${fault}; ${threads}`);
  try {
    const runtime = new WebRuntime('webgpu', options);
    await runtime.start();
    return { device: 'webgpu', reason: 'asked for', runtime };
  } catch (error) {
    return plain(`WebGPU failed (${firstLine(error)}); ${threads}`);
  }
}
