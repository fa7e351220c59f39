import * as ort from 'onnxruntime-node';
import { encodeModel } from '../onnx/encode.ts';
import { type OnnxModel, type TypedArray, tensorFault } from '../onnx/model.ts';
import { MappedWeights } from './node-mapped.ts';
import {
  type Runtime,
  type Session,
  SessionError,
  type SessionOptions,
  type TensorValue,
  type TensorValues,
} from './session.ts';
import { LocalStates } from './states.ts';

/** Name, type and shape of an input or output as ONNX Runtime reports it: types of foreign models may be unknown to us. */
interface ValueInfo {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string)[];
}

/** ONNX Runtime in the calling thread: `run` blocks the event loop. For workers, tests and benchmarks. */
export function directRuntime(defaults: SessionOptions = {}): Runtime {
  let mapped: MappedWeights | null = null;
  return {
    device: defaults.device ?? 'cpu',
    createSession: async (model, options) => {
      const all = { ...defaults, ...options };
      if (!all.mapWeights) return createSession(model, all);
      mapped ??= new MappedWeights();
      return openSession(mapped.write(model), model, all);
    },
    loadSession: async (file, options) => loadSession(file, { ...defaults, ...options }),
    states: new LocalStates(),
    close: async () => mapped?.close(),
  };
}

async function createSession(model: OnnxModel, options: SessionOptions): Promise<Session> {
  // a file per weight: the engine reads the caller's arrays, and no buffer meets Node's bound of 4 GiB
  const { bytes, external } = encodeModel(model, { externalFile: (index) => `weight-${index}` });
  const session = await guard('createSession', () =>
    ort.InferenceSession.create(bytes, {
      ...ortOptions(options),
      ...(external.length > 0 && { externalData: external.map(({ file, data }) => ({ path: file, data })) }),
    }),
  );
  return new DirectSession(session, model.inputs, model.outputs, true);
}

/** A graph of ours from its file. */
async function openSession(path: string, model: OnnxModel, options: SessionOptions): Promise<Session> {
  const session = await guard('createSession', () => ort.InferenceSession.create(path, ortOptions(options)));
  return new DirectSession(session, model.inputs, model.outputs, true);
}

async function loadSession(file: Uint8Array | string, options: SessionOptions): Promise<Session> {
  const session = await guard('loadSession', () =>
    typeof file === 'string'
      ? ort.InferenceSession.create(file, ortOptions(options))
      : ort.InferenceSession.create(file, ortOptions(options)),
  );
  // a foreign exporter may give one symbolic name to dimensions that differ
  return new DirectSession(session, infos(session.inputMetadata), infos(session.outputMetadata), false);
}

function infos(metadata: readonly ort.InferenceSession.ValueMetadata[]): ValueInfo[] {
  return metadata.flatMap((info) =>
    info.isTensor ? [{ name: info.name, dtype: info.type, shape: info.shape.map((dim) => dim ?? '?') }] : [],
  );
}

function ortOptions(options: SessionOptions): ort.InferenceSession.SessionOptions {
  return {
    executionProviders: [options.device ?? 'cpu'],
    graphOptimizationLevel: 'all',
    logSeverityLevel: options.logSeverity ?? 4,
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

/** Rethrows the engine's errors as one line that names the failing operator, without places in the engine's source. */
async function guard<T>(what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const text = (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, ' ').trim();
    const failed = /returned while running (\S+) node\. Name:'([^']*)' Status Message: (.*)$/.exec(text);
    if (!failed) throw new SessionError(`${what}: ${text}`);
    const reason = failed[3]!.replace(/^\/\S+:\d+ .*?\) (\[ONNXRuntimeError\] : \d+ : \w+ : )?/, '');
    throw new SessionError(`${what}: operator ${failed[1]} (node ${failed[2]}) failed: ${reason}`);
  }
}

class DirectSession implements Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #session: ort.InferenceSession;
  readonly #inputs: ReadonlyMap<string, ValueInfo>;
  readonly #outputs: ReadonlyMap<string, ValueInfo>;
  readonly #symbolsAgree: boolean;
  #released = false;

  constructor(
    session: ort.InferenceSession,
    inputs: readonly ValueInfo[],
    outputs: readonly ValueInfo[],
    symbolsAgree: boolean,
  ) {
    this.#session = session;
    this.inputNames = session.inputNames;
    this.outputNames = session.outputNames;
    this.#inputs = new Map(inputs.map((info) => [info.name, info]));
    this.#outputs = new Map(outputs.map((info) => [info.name, info]));
    this.#symbolsAgree = symbolsAgree;
  }

  #checkFeeds(feeds: TensorValues): void {
    for (const name of Object.keys(feeds)) known('input', name, this.inputNames);
    const symbols = new Map<string, { size: number; of: string }>();
    for (const name of this.inputNames) {
      const value = feeds[name];
      if (!value) throw new SessionError(`run: input ${name} is missing; expected ${list(this.inputNames)}`);
      const info = this.#inputs.get(name);
      checkValue('input', name, value, info);
      if (!info || !this.#symbolsAgree) continue;
      info.shape.forEach((dim, axis) => {
        if (typeof dim === 'number') return;
        const size = value.shape[axis]!;
        const first = symbols.get(dim);
        if (!first) symbols.set(dim, { size, of: name });
        else if (first.size !== size)
          throw new SessionError(`run: ${dim} is ${first.size} in input ${first.of}, but ${size} in input ${name}`);
      });
    }
  }

  async run(feeds: TensorValues, fetches?: readonly string[] | TensorValues): Promise<TensorValues> {
    if (this.#released) throw new SessionError('run: the session was released; create another');
    this.#checkFeeds(feeds);
    const buffers = fetches && !isNames(fetches) ? fetches : null;
    const names = isNames(fetches) ? fetches : Object.keys(buffers ?? {});
    for (const name of names) known('output', name, this.outputNames);
    for (const [name, value] of Object.entries(buffers ?? {}))
      checkValue('buffer of output', name, value, this.#outputs.get(name));
    const results = await guard('run', () =>
      this.#session.run(
        ortTensors(feeds),
        buffers ? ortTensors(buffers) : isNames(fetches) ? fetches : this.outputNames,
      ),
    );
    return buffers ?? Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensorValue(tensor)]));
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    await this.#session.release();
  }
}

function isNames(fetches: readonly string[] | TensorValues | undefined): fetches is readonly string[] {
  return Array.isArray(fetches);
}

function known(what: string, name: string, names: readonly string[]): void {
  if (!names.includes(name)) throw new SessionError(`run: no ${what} is named ${name}; expected ${list(names)}`);
}

function checkValue(what: string, name: string, value: TensorValue, info: ValueInfo | undefined): void {
  const fits =
    !info ||
    (value.dtype === info.dtype &&
      value.shape.length === info.shape.length &&
      info.shape.every((dim, axis) => typeof dim === 'string' || dim === value.shape[axis]));
  if (!fits)
    throw new SessionError(
      `run: ${what} ${name} expected ${info.dtype}[${info.shape.join(', ')}], got ${value.dtype}[${value.shape.join(', ')}]`,
    );
  const fault = tensorFault(value);
  if (fault) throw new SessionError(`run: ${what} ${name}: ${fault}`);
  if (!(value.data.buffer instanceof ArrayBuffer))
    throw new SessionError(
      `run: ${what} ${name} lies in shared memory, which the engine cannot use; pass data.slice()`,
    );
}

function list(names: readonly string[]): string {
  return names.length <= 8 ? names.join(', ') : `${names.slice(0, 8).join(', ')} and ${names.length - 8} more`;
}

function ortTensors(values: TensorValues): Record<string, ort.Tensor> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      new ort.Tensor(value.dtype, value.data as never, value.shape),
    ]),
  );
}

function tensorValue(tensor: ort.Tensor): TensorValue {
  const data = tensor.data as TensorValue['data'];
  // newer Node versions have a Float16Array of their own; here float16 values are bit patterns
  const bits = tensor.type === 'float16' && !(data instanceof Uint16Array);
  return {
    dtype: tensor.type as TensorValue['dtype'],
    shape: tensor.dims,
    data: bits ? new Uint16Array((data as TypedArray).buffer, (data as TypedArray).byteOffset, tensor.size) : data,
  };
}
