import type { PixelImage } from '../image/pixels.ts';
import { alignFace, squareToPhoto } from './align.ts';
import type { FaceLandmarks } from './detector.ts';

export interface FacePose {
  /** Turn in the picture's plane in degrees, positive clockwise; −180 to 180. */
  readonly rollDegrees: number;
  /**
   * Turn to the side, by where the nose stands between the eyes: 0 in the middle, −1 and 1 above the right and the left eye
   * (the person's). Frontal faces lie within ±0.25.
   */
  readonly yaw: number;
  /** Where the nose stands between eyes (0) and mouth (1); frontal faces about 0.6. Less when looking up. */
  readonly pitch: number;
}

/** Pose from five points alone: cheap measures that order photos, no angles in space. */
export function facePose([rightEye, leftEye, nose, rightMouth, leftMouth]: FaceLandmarks): FacePose {
  const eyes = { x: (rightEye.x + leftEye.x) / 2, y: (rightEye.y + leftEye.y) / 2 };
  const mouth = { x: (rightMouth.x + leftMouth.x) / 2, y: (rightMouth.y + leftMouth.y) / 2 };
  const across = { x: leftEye.x - rightEye.x, y: leftEye.y - rightEye.y };
  const down = { x: mouth.x - eyes.x, y: mouth.y - eyes.y };
  const toNose = { x: nose.x - eyes.x, y: nose.y - eyes.y };
  // nose = eyes + yaw/2·across + pitch·down, so that neither turn nor slant of the face counts
  const area = across.x * down.y - across.y * down.x;
  return {
    rollDegrees: (Math.atan2(across.y, across.x) * 180) / Math.PI,
    yaw: (2 * (toNose.x * down.y - toNose.y * down.x)) / area,
    pitch: (across.x * toNose.y - across.y * toNose.x) / area,
  };
}

/**
 * Variance of the Laplacian of luma (Pech-Pacheco et al. 2000), in squared levels of 0–255: the less, the blurrier. It
 * depends on the scale: compare pictures of one size.
 */
export function laplacianVariance({ data, width, height }: PixelImage): number {
  const luma = Float64Array.from(
    { length: width * height },
    (_, i) => 0.299 * data[3 * i]! + 0.587 * data[3 * i + 1]! + 0.114 * data[3 * i + 2]!,
  );
  let [sum, squares, count] = [0, 0, 0];
  for (let y = 1; y < height - 1; y++)
    for (let x = 1; x < width - 1; x++) {
      const i = y * width + x;
      const value = luma[i - 1]! + luma[i + 1]! + luma[i - width]! + luma[i + width]! - 4 * luma[i]!;
      sum += value;
      squares += value * value;
      count++;
    }
  return count === 0 ? 0 : squares / count - (sum / count) ** 2;
}

export interface FaceQuality extends FacePose {
  /** {@link laplacianVariance} of the aligned face at 112×112. */
  readonly sharpness: number;
  /** Side of the aligned square in pixels of the photo: below the model's image size, detail is missing. */
  readonly sidePixels: number;
}

/** Side at which sharpness is measured. */
const measuredSide = 112;

/** What a photo holds of a face, for choosing among photos. @throws FaceError when the points coincide. */
export function faceQuality(photo: PixelImage, landmarks: FaceLandmarks): FaceQuality {
  const { a, b } = squareToPhoto(landmarks, 1);
  return {
    ...facePose(landmarks),
    sharpness: laplacianVariance(alignFace(photo, landmarks, measuredSide)),
    sidePixels: Math.hypot(a, b),
  };
}
