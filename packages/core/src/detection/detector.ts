import type { PixelImage } from '../image/pixels.ts';

/** In pixels of the photo: 0, 0 is the upper left corner of its first pixel, whose centre is at 0.5, 0.5. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Right eye, left eye, tip of the nose, right and left corner of the mouth, right and left as the person has them. */
export type FaceLandmarks = readonly [
  rightEye: Point,
  leftEye: Point,
  nose: Point,
  rightMouth: Point,
  leftMouth: Point,
];

/** In pixels of the photo; may reach over its border. */
export interface FaceBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface DetectedFace {
  readonly box: FaceBox;
  readonly landmarks: FaceLandmarks;
  /** How sure the detector is, 0 to 1; scales of two detectors do not compare. */
  readonly score: number;
}

/** Finds faces in photos of any size. */
export interface FaceDetector {
  /** Every face once, the largest first. */
  detect(image: PixelImage): Promise<DetectedFace[]>;
  /** Frees the networks; the runtime stays open. */
  close(): Promise<void>;
}

/** A photo in which the wanted face is not found, or points that make no face: one line with what, expected, got, try. */
export class FaceError extends Error {
  override readonly name = 'FaceError';

  constructor(what: string, expected: string, got: string, advice: string) {
    super(`${what}: expected ${expected}, got ${got}; try ${advice}`.replace(/\s+/g, ' '));
  }
}

/** Common area over the area of both together, 0 to 1; 0 when neither has an area. */
export function intersectionOverUnion(a: FaceBox, b: FaceBox): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  const common = Math.max(0, width) * Math.max(0, height);
  const union = a.width * a.height + b.width * b.height - common;
  return union > 0 ? common / union : 0;
}

/**
 * Non-maximum suppression: goes from the highest score down and drops what overlaps one that was kept by more than
 * `maxOverlap` (intersection over union). Equal scores keep their order.
 */
export function suppressOverlaps<T extends { readonly box: FaceBox; readonly score: number }>(
  candidates: readonly T[],
  maxOverlap: number,
): T[] {
  const kept: T[] = [];
  for (const candidate of [...candidates].sort((a, b) => b.score - a.score))
    if (kept.every(({ box }) => intersectionOverUnion(box, candidate.box) <= maxOverlap)) kept.push(candidate);
  return kept;
}

/** By area of the box, largest first. */
export function largestFirst<T extends { readonly box: FaceBox }>(faces: readonly T[]): T[] {
  return [...faces].sort((a, b) => b.box.width * b.box.height - a.box.width * a.box.height);
}
