import type { ExpertRouting, LoadPrediction, LoadProgress } from '@unif2ace/core';
import type {
  Answer,
  AskRequest,
  EditRequest,
  EngineInfo,
  EngineStep,
  FacesFound,
  RoutingRequest,
  SamplingRequest,
} from '../../server/engine.ts';

/** What the model in the page computes on. */
export type WantedDevice = 'cpu' | 'webgpu';

/** Addresses of what is loaded. */
export interface ModelAddresses {
  model: string;
  attributes: string;
  /** Folder of face-api's networks. */
  faces: string;
}

/** What loading would take. */
export interface Prediction extends LoadPrediction {
  memoryBytes: number;
}

/** Calls by name: what is sent, what comes back. Pictures travel as files; the worker decodes them. */
export interface Calls {
  predict: { request: { addresses: ModelAddresses; device: WantedDevice }; result: Prediction };
  load: { request: { addresses: ModelAddresses; device: WantedDevice }; result: Loaded };
  generate: { request: SamplingRequest; result: Uint8Array[] };
  edit: { request: WithPicture<Omit<EditRequest, 'region'>> & { region: PageRegion }; result: Uint8Array[] };
  ask: { request: WithPicture<AskRequest>; result: Answer };
  faces: { request: WithPicture<{ face: number | 'aligned' }>; result: FacesFound & { width: number; height: number } };
  routing: {
    request: Omit<RoutingRequest, 'picture'> & { picture: Blob | null };
    result: ExpertRouting[];
  };
}

type WithPicture<T> = Omit<T, 'photo'> & { picture: Blob };
export type PageRegion = EditRequest['region'] extends infer R ? Exclude<R, { data: unknown }> | Blob : never;

interface Loaded {
  info: EngineInfo;
  /** Why that device. */
  reason: string;
}

export type CallName = keyof Calls;

export type ToWorker =
  | { [K in CallName]: { kind: K; id: number; request: Calls[K]['request'] } }[CallName]
  | { kind: 'abort'; id: number };

export type FromWorker =
  | { kind: 'progress'; id: number; progress: LoadProgress }
  | { kind: 'step'; id: number; step: EngineStep }
  | { kind: 'text'; id: number; piece: string }
  | { kind: 'done'; id: number; result: Calls[CallName]['result'] }
  | { kind: 'failed'; id: number; message: string }
  /** The GPU was lost, WebAssembly goes on. */
  | { kind: 'device'; device: string; reason: string };
