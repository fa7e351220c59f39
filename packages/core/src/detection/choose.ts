import type { PixelImage } from '../image/pixels.ts';
import type { FaceInPhoto } from './align.ts';
import { type DetectedFace, type FaceDetector, FaceError } from './detector.ts';

/** One face of a photo; can be handed to the model as it is. */
export interface FoundFace extends DetectedFace, FaceInPhoto {
  /** Place by area, 1 for the largest. */
  readonly index: number;
  /** Faces in the photo. */
  readonly of: number;
}

export interface FindFaceOptions {
  /** Which face, by area from 1, the largest. Default 1. */
  face?: number;
  /** Name of the photo for error messages. Default "photo". */
  name?: string;
}

/** Finds one face of a photo. @throws FaceError when there is none, or fewer than asked for. */
export async function findFace(
  detector: FaceDetector,
  photo: PixelImage,
  options: FindFaceOptions = {},
): Promise<FoundFace> {
  const { face: index = 1, name = 'photo' } = options;
  const faces = await detector.detect(photo);
  if (faces.length === 0) throw new FaceError(name, 'a face', 'none', 'a photo where the face is larger');
  const face = faces[index - 1];
  if (face) return { ...face, photo, index, of: faces.length };
  const expected = faces.length === 1 ? 'face 1, the only one' : `a face from 1 to ${faces.length}`;
  throw new FaceError(name, expected, `face ${index}`, 'face 1, the largest');
}
