import type { OnnxModel } from '../onnx/model.ts';
import type { SessionOptions, TensorValue, TensorValues } from './session.ts';
import type { StateId, StateRun } from './states.ts';

/** What a runtime asks of its worker thread. Tensors travel as moved copies; the caller's buffers are never detached. */
export type WorkerRequest =
  | { kind: 'create'; model: OnnxModel; options: SessionOptions | undefined }
  | { kind: 'load'; file: Uint8Array | string; options: SessionOptions | undefined }
  | { kind: 'run'; session: number; feeds: TensorValues; fetches: readonly string[] | undefined }
  | { kind: 'createState'; id: StateId; shapes: Readonly<Record<string, readonly number[]>> }
  | { kind: 'cloneState'; id: StateId; from: StateId }
  | { kind: 'freeState'; id: StateId }
  | { kind: 'runStates'; session: number; request: StateRun }
  | { kind: 'release'; session: number }
  | { kind: 'close' };

/** Shared with the thread: a first element of 1 tells it to skip what is still queued. */
export interface WorkerStart {
  readonly closing: Int32Array;
}

export type WorkerReply =
  | { kind: 'session'; session: number; inputNames: readonly string[]; outputNames: readonly string[] }
  | { kind: 'values'; values: TensorValues }
  | { kind: 'done' }
  | { kind: 'error'; message: string };

/** Copies of the tensors' own elements, in memory that may be moved to another thread. */
export function movable<T extends Pick<TensorValue, 'data'>>(
  values: readonly T[],
): { copies: T[]; moved: ArrayBuffer[] } {
  const copies = values.map((value) => ({ ...value, data: value.data.slice() }));
  return { copies, moved: copies.map(({ data }) => data.buffer as ArrayBuffer) };
}
