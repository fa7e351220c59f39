import * as ort from 'onnxruntime-node';
import { encodeModel } from '../onnx/encode.ts';
import type { OnnxModel, OnnxValueInfo } from '../onnx/model.ts';
import {
  type Runtime,
  type Session,
  SessionError,
  type SessionOptions,
  type TensorValue,
  type TensorValues,
} from './session.ts';

const externalFile = 'weights.bin';

/** ONNX Runtime on the CPU, in the calling thread: `run` blocks the event loop. For workers, tests and benchmarks. */
export function directRuntime(defaults: SessionOptions = {}): Runtime {
  return {
    device: 'cpu',
    createSession: async (model, options) => createSession(model, { ...defaults, ...options }),
    loadSession: async (bytes, options) => {
      const session = await guard('loadSession', () =>
        ort.InferenceSession.create(bytes, ortOptions({ ...defaults, ...options })),
      );
      return new DirectSession(session, null);
    },
    close: async () => {},
  };
}

async function createSession(model: OnnxModel, options: SessionOptions): Promise<Session> {
  const encoded = encodeModel(model, { externalFile });
  const data = new Uint8Array(encoded.externalBytes);
  for (const part of encoded.external) data.set(part.data, part.offset);
  const session = await guard('createSession', () =>
    ort.InferenceSession.create(encoded.bytes, {
      ...ortOptions(options),
      ...(encoded.externalBytes > 0 && { externalData: [{ path: externalFile, data }] }),
    }),
  );
  return new DirectSession(session, model.inputs);
}

function ortOptions(options: SessionOptions): ort.InferenceSession.SessionOptions {
  return {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    ...(options.intraOpThreads && { intraOpNumThreads: options.intraOpThreads }),
    ...(options.profilePrefix && { enableProfiling: true, profileFilePrefix: options.profilePrefix }),
    extra: {
      session: {
        intra_op: { allow_spinning: options.allowSpinning === false ? '0' : '1' },
        ...(options.prepack === false && { disable_prepacking: '1' }),
      },
    },
  };
}

/** Rethrows the engine's errors as one line. */
async function guard<T>(what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new SessionError(`${what}: ${text.replaceAll(/\s+/g, ' ').trim()}`);
  }
}

class DirectSession implements Session {
  readonly #session: ort.InferenceSession;
  readonly #inputs: Map<string, OnnxValueInfo> | null;

  constructor(session: ort.InferenceSession, inputs: readonly OnnxValueInfo[] | null) {
    this.#session = session;
    this.#inputs = inputs && new Map(inputs.map((info) => [info.name, info]));
  }

  get inputNames(): readonly string[] {
    return this.#session.inputNames;
  }

  get outputNames(): readonly string[] {
    return this.#session.outputNames;
  }

  #check(feeds: TensorValues): void {
    for (const name of Object.keys(feeds))
      if (!this.inputNames.includes(name))
        throw new SessionError(`run: no input is named ${name}; expected ${list(this.inputNames)}`);
    for (const name of this.inputNames) {
      const value = feeds[name];
      if (!value) throw new SessionError(`run: input ${name} is missing`);
      const info = this.#inputs?.get(name);
      if (!info) continue;
      const fits =
        value.dtype === info.dtype &&
        value.shape.length === info.shape.length &&
        info.shape.every((dim, axis) => typeof dim === 'string' || dim === value.shape[axis]);
      if (!fits)
        throw new SessionError(
          `run: input ${name} expected ${info.dtype}[${info.shape.join(', ')}], got ${value.dtype}[${value.shape.join(', ')}]`,
        );
    }
  }

  async run(feeds: TensorValues, fetches?: readonly string[] | TensorValues): Promise<TensorValues> {
    this.#check(feeds);
    const ortFeeds = Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, ortTensor(value)]));
    if (fetches && !Array.isArray(fetches)) {
      const buffers = fetches as TensorValues;
      const ortFetches = Object.fromEntries(Object.entries(buffers).map(([name, value]) => [name, ortTensor(value)]));
      await guard('run', () => this.#session.run(ortFeeds, ortFetches));
      return buffers;
    }
    const results = await guard('run', () =>
      this.#session.run(ortFeeds, (fetches as string[] | undefined) ?? [...this.outputNames]),
    );
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensorValue(tensor)]));
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

function list(names: readonly string[]): string {
  return names.length <= 8 ? names.join(', ') : `${names.slice(0, 8).join(', ')} and ${names.length - 8} more`;
}

function ortTensor(value: TensorValue): ort.Tensor {
  return new ort.Tensor(value.dtype, value.data as never, value.shape);
}

function tensorValue(tensor: ort.Tensor): TensorValue {
  return { dtype: tensor.type as TensorValue['dtype'], shape: tensor.dims, data: tensor.data as TensorValue['data'] };
}
