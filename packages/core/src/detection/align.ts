import type { PixelImage } from '../image/pixels.ts';
import { faceCrop, faceSquare } from '../image/resize.ts';
import type { FaceLandmarks } from './detector.ts';
import { warp } from './resample.ts';
import { fitSimilarity, type Similarity } from './similarity.ts';

/** Size of CelebA's aligned pictures, the frame in which the models are trained. */
const frame = { width: 178, height: 218 } as const;

/**
 * Where that frame has the five points: medians over 150 aligned pictures, mean of YuNet and the 68-point network, which
 * differ by at most 1.2 pixels, made symmetric but for the nose.
 */
const framePoints: FaceLandmarks = [
  { x: 69.5, y: 111.3 },
  { x: 108.5, y: 111.3 },
  { x: 88.7, y: 135 },
  { x: 72.9, y: 151.7 },
  { x: 105, y: 151.7 },
];

/** A face by its place in a photo. */
export interface FaceInPhoto {
  readonly photo: PixelImage;
  readonly landmarks: FaceLandmarks;
}

/** The five points in the aligned square of `size` × `size` pixels. */
export function frameLandmarks(size: number): FaceLandmarks {
  const { left, top, side } = faceSquare(frame.width, frame.height);
  const scale = size / side;
  return framePoints.map(({ x, y }) => ({ x: (x - left) * scale, y: (y - top) * scale })) as unknown as FaceLandmarks;
}

/** Takes points of the aligned square of `size` pixels to points of the photo. @throws FaceError for points that coincide. */
export function squareToPhoto(landmarks: FaceLandmarks, size: number): Similarity {
  return fitSimilarity(frameLandmarks(size), landmarks);
}

/**
 * The face as the models were trained to see it: turned, scaled and shifted (least squares over the five points, Umeyama
 * 1991) to CelebA's aligned frame, of which the square that `faceCrop` takes is cut, size × size. Antialiased; beyond the
 * border the photo's nearest pixel is repeated.
 * @throws FaceError when the points coincide.
 */
export function alignFace(image: PixelImage, landmarks: FaceLandmarks, size: number): PixelImage {
  return warp(image, squareToPhoto(landmarks, size), size, size);
}

/** The model's view of a face, size × size: a photo is aligned by its landmarks, a bare picture counts as aligned. */
export function faceView(face: PixelImage | FaceInPhoto, size: number): PixelImage {
  return 'photo' in face ? alignFace(face.photo, face.landmarks, size) : faceCrop(face, size);
}
