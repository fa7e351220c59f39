import { float32, type OnnxModel, type Runtime, type Session, type TensorValues } from '@unif2ace/graph';
import type { PixelImage } from '../image/pixels.ts';
import { type FaceBox, suppressOverlaps } from './detector.ts';
import { fitLongerSide, padded } from './resample.ts';

export interface ScoredBox {
  readonly box: FaceBox;
  readonly score: number;
}

/** A photo in a black square of `side` pixels, its longer side filling this fraction of it, centred unless 1. */
export interface View {
  /** Larger finds smaller faces; time grows with its square. */
  readonly side: number;
  /** Below 1 a border is left around the photo, which faces need that fill it. */
  readonly fill: number;
}

export interface BoxOptions {
  /** How the network sees the photo; each view costs a run. */
  views: readonly View[];
  /** Least score of a face. */
  minScore: number;
  /** Boxes that overlap more (intersection over union) are one face. */
  maxOverlap: number;
}

/** A network that finds boxes of faces in a square picture. */
export interface BoxNetwork {
  readonly options: BoxOptions;
  /** Input `pixels` [1, 3, S, S]. */
  model(side: number): OnnxModel;
  /** RGB bytes to what the network reads, [3, S, S]. */
  normalize(image: PixelImage): Float32Array;
  /** Boxes in pixels of the square, those of `minScore` or more, overlapping ones included. */
  decode(outputs: TensorValues, side: number, minScore: number): ScoredBox[];
}

/** (p − mean) / divisor of RGB bytes: [3, H, W]. */
export function normalized(
  { data, width, height }: PixelImage,
  mean: readonly number[],
  divisor: number,
): Float32Array {
  const area = width * height;
  const x_CHW = new Float32Array(3 * area);
  for (let channel = 0; channel < 3; channel++)
    for (let i = 0; i < area; i++) x_CHW[channel * area + i] = (data[3 * i + channel]! - mean[channel]!) / divisor;
  return x_CHW;
}

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** Runs a network on whole photos; one session per side, made when first needed. */
export class BoxFinder {
  readonly #runtime: Runtime;
  readonly #network: BoxNetwork;
  readonly #sessions = new Map<number, Promise<Session>>();

  constructor(runtime: Runtime, network: BoxNetwork) {
    this.#runtime = runtime;
    this.#network = network;
  }

  #session(side: number): Promise<Session> {
    const known = this.#sessions.get(side);
    if (known) return known;
    const session = this.#runtime.createSession(this.#network.model(side));
    this.#sessions.set(side, session);
    return session;
  }

  /** Boxes in pixels of the photo, highest score first. */
  async find(photo: PixelImage): Promise<ScoredBox[]> {
    const { views, minScore, maxOverlap } = this.#network.options;
    const all: ScoredBox[] = [];
    for (const { side, fill } of views) {
      const small = fitLongerSide(photo, Math.round(side * fill));
      const margin = (size: number) => (fill < 1 ? Math.floor((side - size) / 2) : 0);
      const [left, top] = [margin(small.width), margin(small.height)];
      const square = padded(small, side, side, left, top);
      const pixels = float32(this.#network.normalize(square), [1, 3, side, side]);
      const outputs = await (await this.#session(side)).run({ pixels });
      const [scaleX, scaleY] = [photo.width / small.width, photo.height / small.height];
      for (const { box, score } of this.#network.decode(outputs, side, minScore))
        all.push({
          box: {
            x: (box.x - left) * scaleX,
            y: (box.y - top) * scaleY,
            width: box.width * scaleX,
            height: box.height * scaleY,
          },
          score,
        });
    }
    return suppressOverlaps(all, maxOverlap);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map(async (session) => (await session).release()));
    this.#sessions.clear();
  }
}
