import {
  alignFace,
  attributeModel,
  type DetectedFace,
  FaceError,
  faceCrop,
  faceQuality,
  faceSquare,
  frameLandmarks,
  ImageError,
  type PixelImage,
  resize,
  toChannelsFirst,
} from '@unif2ace/core';
import {
  decodeImage,
  type LoadedAttributeClassifier,
  loadAttributeClassifier,
  openFaceDetector,
} from '@unif2ace/core/node';
import { float32, type Runtime } from '@unif2ace/graph';
import sharp from 'sharp';
import { DataError } from '../celeba.ts';
import { readLocator } from '../sources/locator.ts';
import { differenceHash } from './duplicates.ts';
import { contentHash } from './keys.ts';
import type { Box, Locator, Point } from './types.ts';

export const detectVersion = '1';
export const attributesVersion = '1';

export interface DetectSettings {
  /** Edge of the aligned crop in pixels. */
  size: number;
  /** Faces taken from one photo: the largest alone, all, or none when there are several. */
  faces: 'largest' | 'all' | 'single';
  /** Shortest side of a face in the photo. */
  minFacePixels: number;
  /** Largest turn of the head to the side, 0 straight to 1 profile. */
  maxYaw: number;
  /** Least sharpness (variance of the Laplacian on the aligned crop). */
  minSharpness: number;
}

export const defaultDetectSettings: DetectSettings = {
  size: 128,
  faces: 'largest',
  minFacePixels: 24,
  maxYaw: 0.6,
  minSharpness: 4,
};

export interface AlignedFace {
  /** 1-based, by size. */
  index: number;
  box: Box;
  landmarks: Point[];
  /** JPEG of the aligned crop. */
  image: Uint8Array;
  /** Difference hash of the aligned crop. */
  hash: string;
}

/** What became of a photo. */
export interface PhotoResult {
  faces: AlignedFace[];
  /** Why faces, or the whole photo, were left out: one line each. */
  rejected: string[];
}

export interface PhotoTask {
  locator: Locator;
  aligned: boolean;
}

/** Everything that looks at pixels: detector, alignment, classifier. One per worker thread. */
export class FaceWorkshop {
  readonly #runtime: Runtime;
  readonly #classifierFolder: string | null;
  #detector: Awaited<ReturnType<typeof openFaceDetector>> | null = null;
  #classifier: { loaded: LoadedAttributeClassifier; session: Awaited<ReturnType<Runtime['createSession']>> } | null =
    null;

  constructor(runtime: Runtime, classifierFolder: string | null) {
    this.#runtime = runtime;
    this.#classifierFolder = classifierFolder;
  }

  /** Reads a photo's bytes and their hash. @throws DataError */
  async read(locator: Locator): Promise<{ bytes: Uint8Array; hash: string }> {
    const bytes = await readLocator(locator);
    return { bytes, hash: contentHash(bytes) };
  }

  /** Decodes, detects, checks and aligns. Photos that cannot be used give a result with a reason, no error. */
  async photo(bytes: Uint8Array, aligned: boolean, settings: DetectSettings): Promise<PhotoResult> {
    let photo: PixelImage;
    try {
      photo = await decodeImage(bytes, { name: 'photo' });
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      return { faces: [], rejected: [error.message] };
    }
    if (aligned) return { faces: [await this.#ready(photo, framed(photo), 1, settings, true)], rejected: [] };
    this.#detector ??= await openFaceDetector(this.#runtime);
    const found = await this.#detector.detect(photo);
    if (found.length === 0) return { faces: [], rejected: ['expected a face, got none'] };
    if (found.length > 1 && settings.faces === 'single')
      return { faces: [], rejected: [`expected one face, got ${found.length}`] };
    const wanted = settings.faces === 'all' ? found : found.slice(0, 1);
    const result: PhotoResult = { faces: [], rejected: [] };
    for (const [i, face] of wanted.entries()) {
      const fault = this.#fault(photo, face, settings);
      if (fault) result.rejected.push(found.length > 1 ? `face ${i + 1}: ${fault}` : fault);
      else result.faces.push(await this.#ready(photo, face, i + 1, settings, false));
    }
    return result;
  }

  #fault(photo: PixelImage, face: DetectedFace, settings: DetectSettings): string | undefined {
    const side = Math.min(face.box.width, face.box.height);
    if (side < settings.minFacePixels)
      return `expected a face of at least ${settings.minFacePixels} pixels, got ${Math.round(side)}`;
    try {
      const { yaw, sharpness } = faceQuality(photo, face.landmarks);
      if (Math.abs(yaw) > settings.maxYaw)
        return `expected a face turned by at most ${settings.maxYaw}, got ${Math.abs(yaw).toFixed(2)}`;
      if (sharpness < settings.minSharpness)
        return `expected a sharpness of at least ${settings.minSharpness}, got ${sharpness.toFixed(1)}`;
    } catch (error) {
      if (error instanceof FaceError) return error.message;
      throw error;
    }
    return undefined;
  }

  async #ready(
    photo: PixelImage,
    face: Pick<DetectedFace, 'box' | 'landmarks'>,
    index: number,
    { size }: DetectSettings,
    inFrame: boolean,
  ): Promise<AlignedFace> {
    const crop = inFrame ? faceCrop(photo, size) : alignFace(photo, face.landmarks, size);
    const small = resize(crop, 17, 16);
    const luma = Array.from({ length: 17 * 16 }, (_, i) => {
      const [r, g, b] = [small.data[3 * i]!, small.data[3 * i + 1]!, small.data[3 * i + 2]!];
      return 0.299 * r + 0.587 * g + 0.114 * b;
    });
    const image = await sharp(crop.data, { raw: { width: size, height: size, channels: 3 } })
      .jpeg({ quality: 92, chromaSubsampling: '4:4:4' })
      .toBuffer();
    return {
      index,
      box: { ...face.box },
      landmarks: face.landmarks.map(({ x, y }) => ({ x, y })),
      image: new Uint8Array(image),
      hash: differenceHash(luma),
    };
  }

  /** Calibrated probability of each attribute of an aligned crop. */
  async attributes(image: Uint8Array): Promise<Record<string, number>> {
    if (!this.#classifierFolder) return {};
    if (!this.#classifier) {
      const loaded = await loadAttributeClassifier(this.#classifierFolder);
      const session = await this.#runtime.createSession(attributeModel(loaded.config, loaded.weights, 1));
      this.#classifier = { loaded, session };
    }
    const { loaded, session } = this.#classifier;
    const edge = loaded.config.encoder.imageSize;
    const crop = resize(await decodeImage(image, { name: 'aligned face' }), edge, edge);
    const { probabilities } = await session.run({ pixels: float32(toChannelsFirst(crop), [1, 3, edge, edge]) });
    const data = probabilities!.data as Float32Array;
    return Object.fromEntries(loaded.config.attributes.map((name, a) => [name, Math.round(data[a]! * 1e4) / 1e4]));
  }

  async close(): Promise<void> {
    await this.#detector?.close();
    await this.#classifier?.session.release();
  }
}

/** Where an aligned file has its face. */
function framed(photo: PixelImage): Pick<DetectedFace, 'box' | 'landmarks'> {
  const { left, top, side } = faceSquare(photo.width, photo.height);
  if (side < 8) throw new DataError(`photo: expected an aligned face, got ${photo.width}×${photo.height}; try another`);
  return {
    box: { x: left, y: top, width: side, height: side },
    landmarks: frameLandmarks(side).map(({ x, y }) => ({ x: x + left, y: y + top })) as never,
  };
}
