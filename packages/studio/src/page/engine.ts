/**
 * What the page asks of a model, wherever it runs: behind HTTP (`http-engine.ts`) or in the page itself. No user interface
 * here. Pictures travel as PNG blobs, previews as bitmaps. Every call takes an AbortSignal and then fails with its reason;
 * every other failure is an {@link EngineError} whose message is one line for the reader.
 *
 * Shapes: E experts, N image tokens (row by row over the token grid).
 */
export interface StudioEngine {
  /** Once, before anything else; the model is ready when it resolves. */
  info(signal?: AbortSignal): Promise<EngineInfo>;
  /** Faces from words. */
  generate(settings: GenerateSettings, watch?: GenerateWatch): Promise<GeneratedFaces>;
  /** A part of a face anew; the pictures are the aligned face, the rest of it kept. */
  edit(
    face: FaceSource,
    region: EditRegion,
    settings: GenerateSettings,
    watch?: GenerateWatch,
  ): Promise<GeneratedFaces>;
  /**
   * Finds the faces of a photo and looks at one of them, by default the largest. A photo without a face gives an empty list,
   * no error. With "aligned" nothing is searched: the picture itself is looked at.
   */
  faces(photo: Blob, face?: FaceSource['face'], signal?: AbortSignal): Promise<FacesInPhoto>;
  /** The answer to the last message, piece by piece. */
  ask(face: FaceSource, messages: readonly ChatMessage[], signal?: AbortSignal): AsyncIterable<string>;
  /** Which experts of generation fired where for a face; absent where the engine does not offer it. */
  readonly routing?: ((face: RoutedFace, signal?: AbortSignal) => Promise<Routing>) | undefined;
  /** Takes the key that an {@link EngineError} with `needsKey` asked for; absent where none is ever needed. */
  readonly unlock?: ((key: string) => void) | undefined;
  /** Frees what the engine holds. */
  close?(): void;
}

export interface EngineInfo {
  /** Where the model runs. */
  place: 'server' | 'browser';
  model: {
    name: string;
    /** SHA-256 of the weights, hex. */
    hash: string;
    /** Edge of its square pictures in pixels. */
    imageSize: number;
    /** Codes along one side of a picture. */
    tokenGrid: number;
  };
  /** What it computes on, e.g. "cpu", "webgpu", "wasm". */
  device: string;
  /** Names of the attributes whose probability it tells, e.g. "Eyeglasses"; empty when it tells none. */
  attributes: readonly string[];
  /** What suits the model: how strongly words count at first. */
  guidance: number;
  limits: EngineLimits;
}

export interface EngineLimits {
  /** Pictures of one request. */
  count: number;
  steps: number;
  guidance: number;
  temperature: number;
  candidates: number;
  /** Size of a photo. */
  photoBytes: number;
}

export interface GenerateSettings {
  prompt: string;
  /** Pictures; picture i depends on (seed, i) alone. */
  count: number;
  /** A whole number from 0 on. */
  seed: number;
  steps: number;
  /** How much further than learnt the words are followed; 0 is as learnt. */
  guidance: number;
  /** Variety; 0 is the most probable face. */
  temperature: number;
  /** Faces made for each picture, of which the one that fits the words best is kept. */
  candidates: number;
}

export interface GenerateWatch {
  signal?: AbortSignal;
  /** Requests before this one; 0 when it is its turn. May be called often, or never. */
  onQueued?(ahead: number): void;
  onStep?(step: StudioStep): void;
}

interface StudioStep {
  /** From 1. */
  step: number;
  steps: number;
  /** The pictures in work; of a large count only some at a time. */
  images: readonly StudioPreview[];
}

export interface StudioPreview {
  /** Place in the request from 0. */
  index: number;
  /** The picture so far; what is still masked shows anything. */
  picture: ImageBitmap;
  /** 1 where a token is still masked [N]; absent when the engine does not tell. */
  masked?: Uint8Array;
}

export interface GeneratedFaces {
  /** PNG files that carry prompt, seed, settings, model hash and the mark of a generated picture; in order. */
  images: readonly Blob[];
  elapsedMs: number;
}

/** A picture with a face in it. */
export interface FaceSource {
  picture: Blob;
  /** Place by size from 1, as `faces` has them; "aligned" takes the picture as the face, as generated ones are. */
  face: number | 'aligned';
}

export type NamedRegion = 'hair' | 'eyes' | 'mouth';

/** A part by name, a rectangle in pixels of the picture given, or a PNG of its size, white where it is made anew. */
export type EditRegion = NamedRegion | { x: number; y: number; width: number; height: number } | Blob;

export interface FoundFace {
  /** Place by size from 1. */
  index: number;
  /** In pixels of the upright photo; may reach over its border. */
  box: { x: number; y: number; width: number; height: number };
  /** How sure the detector is, 0 to 1. */
  score: number;
}

export interface FacesInPhoto {
  /** Of the upright photo, in pixels. */
  width: number;
  height: number;
  /** The largest first. */
  faces: readonly FoundFace[];
  /** The face asked for, or the largest; absent without a face. */
  chosen?: {
    /** As in {@link FoundFace}; 0 for a picture that counts as aligned. */
    index: number;
    /** What the model sees: the aligned face as PNG. */
    crop: Blob;
    attributes: readonly AttributeEstimate[];
  };
}

export interface AttributeEstimate {
  /** As in {@link EngineInfo.attributes}. */
  name: string;
  /** 0 to 1. */
  probability: number;
}

export interface ChatMessage {
  role: 'user' | 'assistant';
  text: string;
}

export interface RoutedFace {
  settings: GenerateSettings;
  /** Place in its request from 0. */
  index: number;
  /** Of a face that its settings alone do not make again, as an edited one; counts as aligned. */
  picture?: Blob;
}

export interface Routing {
  /** Group of experts: those of generation or those of understanding. */
  task: 't2i' | 'mmu';
  tokenGrid: number;
  /** Denoising steps over which the weights are means. */
  steps: number;
  layers: readonly LayerRouting[];
}

export interface LayerRouting {
  /** From 0. */
  layer: number;
  /** Token level: each token has its experts. Sequence level: all tokens of the picture share them. */
  level: 'token' | 'sequence';
  /** E names, e.g. "expert 3", "noise". */
  experts: readonly string[];
  /** Gate weights, 0 where an expert never fired: [E, N] row by row, [E] at sequence level. */
  weights: Float32Array;
}

/** That of core, which a page before a server does not load. */
const describeQuestion = 'Describe the face.';

/** A description, piece by piece as it is made. */
export function describeFace(
  engine: Pick<StudioEngine, 'ask'>,
  face: FaceSource,
  signal?: AbortSignal,
): AsyncIterable<string> {
  return engine.ask(face, [{ role: 'user', text: describeQuestion }], signal);
}

/** A failure to show: one line that says what, expected, got and what to try. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  /** The same request may succeed a little later. */
  readonly retry: boolean;
  /** It wants a key, or another one. */
  readonly needsKey: boolean;

  constructor(message: string, options: { retry?: boolean; needsKey?: boolean; cause?: unknown } = {}) {
    super(message.replace(/\s+/g, ' '), options.cause === undefined ? undefined : { cause: options.cause });
    this.retry = options.retry ?? false;
    this.needsKey = options.needsKey ?? false;
  }
}
