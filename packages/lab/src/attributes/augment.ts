import { float32, type Philox, type TensorValue } from '@unif2ace/graph';
import type { Faces } from '../training/face-batches.ts';

export interface Augmentation {
  /** Largest shift in each direction; faces are loaded larger by twice this. */
  shiftPixels: number;
  /** Largest factor of contrast up or down, 0.2 for 0.8 to 1.2. */
  contrast: number;
  /** Largest change of brightness, in units of the −1..1 range. */
  brightness: number;
  /** Edge of a square that is blanked, as a share of the image; 0 for none (Cutout). */
  cutout: number;
}

/** Faces cut out of larger ones at random places, mirrored, brightened, each by its own random numbers: [B, 3, S, S] in about −1..1. */
export function augmentedPixels(
  { size, data }: Faces,
  faces: readonly number[],
  edge: number,
  { shiftPixels, contrast, brightness, cutout }: Augmentation,
  randoms: readonly Philox[],
): TensorValue {
  const out = new Float32Array(faces.length * 3 * edge * edge);
  const hole = Math.round(cutout * edge);
  faces.forEach((face, b) => {
    const random = randoms[b]!;
    const [left, top] = [random.int(2 * shiftPixels + 1), random.int(2 * shiftPixels + 1)];
    const mirrored = random.uniform() < 0.5;
    const gain = (1 + contrast * (2 * random.uniform() - 1)) / 127.5;
    const offset = brightness * (2 * random.uniform() - 1) - 127.5 * gain;
    const [holeX, holeY] = [random.int(edge), random.int(edge)];
    for (let y = 0; y < edge; y++)
      for (let x = 0; x < edge; x++) {
        if (Math.abs(x - holeX) * 2 < hole && Math.abs(y - holeY) * 2 < hole) continue;
        const from = ((face * size + top + y) * size + left + (mirrored ? edge - 1 - x : x)) * 3;
        const to = b * 3 * edge * edge + y * edge + x;
        for (let c = 0; c < 3; c++) out[to + c * edge * edge] = data[from + c]! * gain + offset;
      }
  });
  return float32(out, [faces.length, 3, edge, edge]);
}
