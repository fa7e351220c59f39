import type * as ort from 'onnxruntime-node';
import { type TypedArray, tensorFault } from '../onnx/model.ts';
import { type Session, SessionError, type TensorValue, type TensorValues } from './session.ts';

/** Name, type and shape of an input or output as ONNX Runtime reports it: types of foreign models may be unknown to us. */
interface ValueInfo {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string)[];
}

export interface ModelInfo {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

type TensorClass = new (type: never, data: never, dims: readonly number[]) => ort.Tensor;

export interface SessionTraits {
  /** Dimensions of one symbolic name are of one size: a foreign exporter may give one name to dimensions that differ. */
  readonly symbolsAgree: boolean;
  /** The engine writes into buffers that it is given; else its outputs are copied. */
  readonly fillsBuffers: boolean;
  /** Lets one run after the other through where the engine cannot be entered twice. */
  readonly exclusive?: <T>(work: () => Promise<T>) => Promise<T>;
}

/** What the engine says of a model that is not ours. */
export function infos(session: ort.InferenceSession): ModelInfo {
  const of = (metadata: readonly ort.InferenceSession.ValueMetadata[]): ValueInfo[] =>
    metadata.flatMap((info) =>
      info.isTensor ? [{ name: info.name, dtype: info.type, shape: info.shape.map((dim) => dim ?? '?') }] : [],
    );
  return { inputs: of(session.inputMetadata), outputs: of(session.outputMetadata) };
}

/** Rethrows the engine's errors as one line that names the failing operator, without places in the engine's source. */
export async function guard<T>(what: string, action: () => Promise<T>): Promise<T> {
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

/** A session of ONNX Runtime, of Node or of the browser: what goes in is checked before the engine sees it. */
export class CheckedSession implements Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #session: ort.InferenceSession;
  readonly #inputs: ReadonlyMap<string, ValueInfo>;
  readonly #outputs: ReadonlyMap<string, ValueInfo>;
  readonly #tensor: TensorClass;
  readonly #traits: SessionTraits;
  #released = false;

  constructor(
    tensor: TensorClass,
    session: ort.InferenceSession,
    { inputs, outputs }: ModelInfo,
    traits: SessionTraits,
  ) {
    this.#tensor = tensor;
    this.#session = session;
    this.inputNames = session.inputNames;
    this.outputNames = session.outputNames;
    this.#inputs = new Map(inputs.map((info) => [info.name, info]));
    this.#outputs = new Map(outputs.map((info) => [info.name, info]));
    this.#traits = traits;
  }

  #checkFeeds(feeds: TensorValues): void {
    for (const name of Object.keys(feeds)) known('input', name, this.inputNames);
    const symbols = new Map<string, { size: number; of: string }>();
    for (const name of this.inputNames) {
      const value = feeds[name];
      if (!value) throw new SessionError(`run: input ${name} is missing; expected ${list(this.inputNames)}`);
      const info = this.#inputs.get(name);
      checkValue('input', name, value, info);
      if (!info || !this.#traits.symbolsAgree) continue;
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
    const none = !buffers && !isNames(fetches);
    const wanted = none ? this.outputNames : buffers && this.#traits.fillsBuffers ? this.#tensors(buffers) : names;
    const results = await this.#inTurn(() => guard('run', () => this.#session.run(this.#tensors(feeds), wanted)));
    if (!buffers)
      return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensorValue(tensor)]));
    if (!this.#traits.fillsBuffers) for (const name of names) fill(name, buffers[name]!, tensorValue(results[name]!));
    return buffers;
  }

  #tensors(values: TensorValues): Record<string, ort.Tensor> {
    return Object.fromEntries(
      Object.entries(values).map(([name, { dtype, data, shape }]) => [
        name,
        new this.#tensor(dtype as never, data as never, shape),
      ]),
    );
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    await this.#inTurn(() => this.#session.release());
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#traits.exclusive ? this.#traits.exclusive(work) : work();
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

function fill(name: string, buffer: TensorValue, { shape, data }: TensorValue): void {
  if (shape.join() !== buffer.shape.join())
    throw new SessionError(
      `run: buffer of output ${name} expected [${shape.join(', ')}], got [${buffer.shape.join(', ')}]`,
    );
  buffer.data.set(data as never);
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
