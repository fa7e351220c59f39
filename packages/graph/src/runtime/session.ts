import type { OnnxDType, OnnxModel, TypedArray } from '../onnx/model.ts';
import type { Device } from './devices.ts';
import type { States } from './states.ts';

/** A concrete tensor: what is fed and what comes back. */
export interface TensorValue {
  readonly dtype: OnnxDType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

export type TensorValues = Record<string, TensorValue>;

export interface SessionOptions {
  /** Default cpu. Operators that another device lacks run on the CPU. */
  device?: Device;
  /** Threads of one operator. Default: all cores. */
  intraOpThreads?: number;
  /** Waiting threads spin. Faster alone, 1.7 times slower beside a second busy session. Default true. */
  allowSpinning?: boolean;
  /** Rearrange constant weights once for faster products, at the price of start-up time and memory. Default true. */
  prepack?: boolean;
  /**
   * Keep the weights of all graphs of the runtime in one temporary file that sessions map. Prepacked weights are copies all the
   * same, so `prepack: false` belongs to it. Not in the browser. Default false.
   */
  mapWeights?: boolean;
  /** Write a profile of every operator to files that begin so. */
  profilePrefix?: string;
  /**
   * Least severity the engine itself prints to stderr: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal. Default 4, since
   * errors are thrown anyway.
   */
  logSeverity?: 0 | 1 | 2 | 3 | 4;
}

/** A loaded model. */
export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /**
   * Runs the model. `fetches` names the outputs wanted (all by default), or gives buffers that are filled in place
   * and returned. Dimensions of one symbolic name must agree over all feeds of a model of ours.
   * @throws SessionError on a missing or unknown feed or output, one of the wrong type or shape, a failing operator.
   */
  run(feeds: TensorValues, fetches?: readonly string[] | TensorValues): Promise<TensorValues>;
  release(): Promise<void>;
}

/** A device on which sessions run. */
export interface Runtime {
  readonly device: string;
  createSession(model: OnnxModel, options?: SessionOptions): Promise<Session>;
  /** A session from an .onnx file: its path, or its bytes when it has no external weights. */
  loadSession(file: Uint8Array | string, options?: SessionOptions): Promise<Session>;
  /** Keys and values that stay where the sessions of this runtime run; without it they travel with every run. */
  readonly states?: States;
  /** Whether graphs should run every expert on every token, since the device lacks what choosing among them takes. */
  readonly denseExperts?: boolean;
  close(): Promise<void>;
}

export class SessionError extends Error {
  override name = 'SessionError';
}

export function float32(data: Float32Array, shape: readonly number[]): TensorValue {
  return { dtype: 'float32', shape, data };
}

/** int32 values, the type in which token ids are fed. */
export function int32(values: ArrayLike<number>, shape: readonly number[]): TensorValue {
  return { dtype: 'int32', shape, data: Int32Array.from(values) };
}
