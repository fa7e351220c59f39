import type { BoxRegion, DetectedFace, ExpertRouting, NamedRegion, PixelImage } from '@unif2ace/core';

/**
 * What the server asks of a model. The queue in front of it never has more than `concurrency` calls under way. All data can be
 * sent to another thread. N tokens of a picture, row by row.
 */
export interface Engine {
  readonly info: EngineInfo;
  /** Calls that it can serve at the same time. */
  readonly concurrency: number;
  /** Set once it can do nothing more. */
  readonly failure: Error | undefined;
  /** Text tokens, counted at once. */
  countTokens(text: string): number;
  /** Faces from words: marked PNG files in order, the caller's from then on. */
  generate(request: SamplingRequest, watch: StepWatch): Promise<Uint8Array[]>;
  /** A part of a face anew. @throws EngineRefusal */
  edit(request: EditRequest, watch: StepWatch): Promise<Uint8Array[]>;
  /** Answers a question about a face. @throws EngineRefusal */
  ask(request: AskRequest, watch: TextWatch): Promise<Answer>;
  /** Faces of a photo; none is no failure. @throws EngineRefusal */
  faces(request: FacesRequest, watch: { signal: AbortSignal }): Promise<FacesFound>;
  /** Which experts of generation fire where for a face, means over the steps. @throws EngineRefusal */
  routing(request: RoutingRequest, watch: { signal: AbortSignal }): Promise<ExpertRouting[]>;
  close(): Promise<void>;
}

export interface EngineInfo {
  name: string;
  /** SHA-256 of the weights, hex. */
  hash: string;
  /** Edge of its pictures in pixels. */
  imageSize: number;
  /** Tokens along one side of a picture. */
  tokenGrid: number;
  device: string;
  attributes: readonly string[];
  /** How strongly words count where a request does not say. */
  guidance: number;
  /** Text tokens of a prompt that are read. */
  promptTokens: number;
  /** Text tokens of a question, its wording around it included, and its answer together. */
  answerTokens: number;
}

export interface SamplingRequest {
  prompt: string;
  count: number;
  seed: number;
  steps: number;
  guidance: number;
  temperature: number;
  /** Faces made for each picture, of which the one that fits the words best is kept. */
  candidates: number;
  /** Edge of the pictures in pixels. */
  sizePixels: number;
  /** Previews of each picture, spread evenly over the steps. */
  previews: number;
}

/** Which face of a photo, by size from 1, or the picture itself. */
export type FaceChoice = number | 'aligned';

export interface EditRequest extends SamplingRequest {
  photo: PixelImage;
  face: FaceChoice;
  region: NamedRegion | BoxRegion | PixelImage;
}

export interface AskRequest {
  photo: PixelImage;
  face: FaceChoice;
  question: string;
  temperature: number;
  topP: number;
  seed: number;
  maxTokens?: number;
}

export interface FacesRequest {
  photo: PixelImage;
  face: FaceChoice;
}

/** A face that is made again by its settings, or any picture of one. */
export interface RoutingRequest {
  prompt: string;
  seed: number;
  /** Place in its request from 0. */
  index: number;
  steps: number;
  guidance: number;
  temperature: number;
  picture: { photo: PixelImage; face: FaceChoice } | null;
}

export interface EngineStep {
  /** From 1. */
  step: number;
  steps: number;
  /** Those in work; `index` is the place in the request. */
  images: readonly EngineStepImage[];
}

export interface EngineStepImage {
  index: number;
  /** 1 where a token is masked [N]. */
  masked: Uint8Array;
  /** PNG file. */
  preview?: Uint8Array;
}

export interface StepWatch {
  signal: AbortSignal;
  onStep(step: EngineStep): void;
}

export interface TextWatch {
  signal: AbortSignal;
  onText(piece: string): void;
}

export interface Answer {
  text: string;
  finish: 'stop' | 'length';
}

export interface FacesFound {
  faces: readonly DetectedFace[];
  chosen: {
    index: FaceChoice;
    /** The aligned face, a PNG file. */
    crop: Uint8Array;
    attributes: readonly { name: string; probability: number }[];
  } | null;
}

export type RefusalCode = 'invalid_value' | 'invalid_image' | 'no_face';

/** A request that the model cannot serve; the message is one line for the client. */
export class EngineRefusal extends Error {
  override readonly name = 'EngineRefusal';
  readonly code: RefusalCode;

  constructor(code: RefusalCode, message: string) {
    super(message);
    this.code = code;
  }
}
