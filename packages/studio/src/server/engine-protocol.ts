import type { Device } from '@unif2ace/graph';
import type { Engine, EngineStep, RefusalCode } from './engine.ts';

/** Calls of an engine that go to its thread. */
export type CallKind = 'generate' | 'edit' | 'ask' | 'faces' | 'routing';

type RequestOf<K extends CallKind> = Parameters<Engine[K]>[0];
export type ResultOf<K extends CallKind> = Awaited<ReturnType<Engine[K]>>;

export interface EngineCall<K extends CallKind> {
  kind: K;
  request: RequestOf<K>;
  /** No other is under way anywhere: it may have all cores. */
  alone: boolean;
}

export type ToThread =
  | { [K in CallKind]: EngineCall<K> & { id: number } }[CallKind]
  | { kind: 'abort'; id: number }
  | { kind: 'close' };

export type FromThread =
  | { kind: 'ready'; device: string }
  | { kind: 'step'; id: number; step: EngineStep }
  | { kind: 'text'; id: number; piece: string }
  | { kind: 'done'; id: number; result: ResultOf<CallKind> }
  | { kind: 'refused'; id: number; code: RefusalCode; message: string }
  | { kind: 'aborted'; id: number }
  | { kind: 'failed'; id: number; message: string };

export interface EngineFolders {
  model: string;
  /** Folder of the attribute classifier; null: no attributes are told. */
  attributes: string | null;
}

/** What a thread is started with. */
export interface EngineSetup extends EngineFolders {
  device: Device;
  /** Cores of a call that is not alone; null: all. */
  coresEach: number | null;
}
