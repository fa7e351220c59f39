import type { OnnxModel } from '../onnx/model.ts';
import type { SessionOptions, TensorValues } from './session.ts';

/** What a runtime asks of its worker thread. Tensors travel as copies; the caller's buffers are never detached. */
export type WorkerRequest =
  | { kind: 'create'; model: OnnxModel; options: SessionOptions | undefined }
  | { kind: 'load'; bytes: Uint8Array; options: SessionOptions | undefined }
  | { kind: 'run'; session: number; feeds: TensorValues; fetches: readonly string[] | undefined }
  | { kind: 'release'; session: number };

export type WorkerReply =
  | { kind: 'session'; session: number; inputNames: readonly string[]; outputNames: readonly string[] }
  | { kind: 'values'; values: TensorValues }
  | { kind: 'done' }
  | { kind: 'error'; message: string };
