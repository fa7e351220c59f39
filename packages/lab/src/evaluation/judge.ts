import { type AttributeClassifierConfig, attributeModel, type PixelImage, resize } from '@unif2ace/core';
import type { LoadedAttributeClassifier } from '@unif2ace/core/node';
import type { Runtime, Session } from '@unif2ace/graph';
import { type Faces, facePixels } from '../training/face-batches.ts';
import type { FeatureMatrix } from './frechet.ts';

// N faces, A attributes, F features

/** What the judge says of N faces. */
export interface Judgement {
  /** [N, F], the layer before the head. */
  features: FeatureMatrix;
  /** [N, A] */
  probabilities: Float32Array;
}

const batch = 32;

/** An attribute classifier that measures faces; the models measured must not have been trained with it. */
export class Judge {
  readonly config: AttributeClassifierConfig;
  readonly hash: string;
  readonly #session: Session;

  private constructor({ config, hash }: LoadedAttributeClassifier, session: Session) {
    this.config = config;
    this.hash = hash;
    this.#session = session;
  }

  static async open(loaded: LoadedAttributeClassifier, runtime: Runtime): Promise<Judge> {
    return new Judge(loaded, await runtime.createSession(attributeModel(loaded.config, loaded.weights, batch)));
  }

  /** Edge of the faces it looks at, in pixels. */
  get size(): number {
    return this.config.encoder.imageSize;
  }

  /**
   * @param mirrored look at the mirror images.
   * @throws RangeError for faces of another size.
   */
  async look(
    faces: Faces,
    options: { mirrored?: boolean; onProgress?: (done: number) => void } = {},
  ): Promise<Judgement> {
    if (faces.size !== this.size)
      throw new RangeError(`judge: expected faces of ${this.size} pixels, got ${faces.size}; try resizing them`);
    const count = faces.data.length / (3 * faces.size ** 2);
    const [width, outputs] = [this.config.encoder.width, this.config.attributes.length];
    const features = { data: new Float32Array(count * width), rows: count, columns: width };
    const probabilities = new Float32Array(count * outputs);
    const flipped = new Array<boolean>(batch).fill(options.mirrored ?? false);
    for (let first = 0; first < count; first += batch) {
      const kept = Math.min(batch, count - first);
      // the last batch is filled up with its last face
      const chosen = Array.from({ length: batch }, (_, i) => first + Math.min(i, kept - 1));
      const found = await this.#session.run({ pixels: facePixels(faces, chosen, flipped) });
      features.data.set((found.features!.data as Float32Array).subarray(0, kept * width), first * width);
      probabilities.set((found.probabilities!.data as Float32Array).subarray(0, kept * outputs), first * outputs);
      options.onProgress?.(first + kept);
    }
    return { features, probabilities };
  }

  /** Probabilities [N] of one attribute. @throws RangeError for one that the judge does not know. */
  scores({ probabilities }: Judgement, attribute: string): Float32Array {
    const [column, outputs] = [this.config.attributes.indexOf(attribute), this.config.attributes.length];
    if (column < 0)
      throw new RangeError(
        `judge: ${this.config.name} does not know ${attribute}; try a judge trained on CelebA's labels`,
      );
    return Float32Array.from(
      { length: probabilities.length / outputs },
      (_, n) => probabilities[n * outputs + column]!,
    );
  }

  close(): Promise<void> {
    return this.#session.release();
  }
}

/** Pictures of any square size as faces of one size. */
export function facesOf(images: readonly PixelImage[], size: number): Faces {
  const data = new Uint8Array(images.length * 3 * size * size);
  images.forEach((image, i) => {
    data.set(resize(image, size, size).data, i * 3 * size * size);
  });
  return { size, data };
}
