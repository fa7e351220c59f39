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
  /** Largest factor of size up or down, 0.1 for 0.9 to 1.1; 0 by default. */
  zoom?: number;
  /** Largest turn to either side in degrees; 0 by default. */
  turnDegrees?: number;
}

/**
 * Faces cut out of larger ones at random places, mirrored, turned, brightened, each by its own random numbers: [B, 3, S, S] in
 * about −1..1. Between pixels it is interpolated linearly, beyond the photo its edge goes on.
 */
export function augmentedPixels(
  { size, data }: Faces,
  faces: readonly number[],
  edge: number,
  { shiftPixels, contrast, brightness, cutout, zoom = 0, turnDegrees = 0 }: Augmentation,
  randoms: readonly Philox[],
): TensorValue {
  const plane = edge * edge;
  const out = new Float32Array(faces.length * 3 * plane);
  const hole = Math.round(cutout * edge);
  const centre = (edge - 1) / 2;
  faces.forEach((face, b) => {
    const random = randoms[b]!;
    const [left, top] = [random.int(2 * shiftPixels + 1), random.int(2 * shiftPixels + 1)];
    const mirror = random.uniform() < 0.5 ? -1 : 1;
    const gain = (1 + contrast * (2 * random.uniform() - 1)) / 127.5;
    const offset = brightness * (2 * random.uniform() - 1) - 127.5 * gain;
    const [holeX, holeY] = [random.int(edge), random.int(edge)];
    const scale = zoom ? 1 / (1 + zoom * (2 * random.uniform() - 1)) : 1;
    const turn = turnDegrees ? (turnDegrees * (2 * random.uniform() - 1) * Math.PI) / 180 : 0;
    const [cos, sin] = [scale * Math.cos(turn), scale * Math.sin(turn)];
    for (let y = 0; y < edge; y++)
      for (let x = 0; x < edge; x++) {
        if (Math.abs(x - holeX) * 2 < hole && Math.abs(y - holeY) * 2 < hole) continue;
        const [dx, dy] = [mirror * (x - centre), y - centre];
        const sampleX = clamp(left + centre + cos * dx - sin * dy, size - 1);
        const sampleY = clamp(top + centre + sin * dx + cos * dy, size - 1);
        const [x0, y0] = [Math.floor(sampleX), Math.floor(sampleY)];
        const [shareX, shareY] = [sampleX - x0, sampleY - y0];
        const from = ((face * size + y0) * size + x0) * 3;
        // a neighbour of share 0 may lie outside
        const right = shareX > 0 ? 3 : 0;
        const below = shareY > 0 ? size * 3 : 0;
        const to = b * 3 * plane + y * edge + x;
        for (let c = 0; c < 3; c++) {
          const upper = data[from + c]! * (1 - shareX) + data[from + right + c]! * shareX;
          const lower = data[from + below + c]! * (1 - shareX) + data[from + below + right + c]! * shareX;
          out[to + c * plane] = (upper * (1 - shareY) + lower * shareY) * gain + offset;
        }
      }
  });
  return float32(out, [faces.length, 3, edge, edge]);
}

const clamp = (value: number, last: number) => Math.min(last, Math.max(0, value));

/**
 * Shares of mixup (Zhang et al., arXiv 1710.09412): the larger of λ and 1 − λ, λ of Beta(α, α), one for each example's own photo;
 * the rest is the next example's of the batch. All 1 for α = 0.
 */
export function mixupShares(alpha: number, randoms: readonly Philox[]): number[] {
  return randoms.map((random) => {
    if (alpha === 0) return 1;
    // Jöhnk: two powers of uniform numbers whose sum is at most 1
    for (;;) {
      const [u, v] = [random.uniform() ** (1 / alpha), random.uniform() ** (1 / alpha)];
      if (u + v <= 1 && u + v > 0) return Math.max(u, v) / (u + v);
    }
  });
}

/** Each row of [B, …] mixed with the next one's, the last with the first: share · own + (1 − share) · next. */
export function mixRows({ data, shape }: TensorValue, shares: readonly number[]): TensorValue {
  const [rows, width] = [shape[0]!, data.length / shape[0]!];
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    const share = shares[row]!;
    const next = ((row + 1) % rows) * width;
    for (let i = 0; i < width; i++)
      out[row * width + i] = share * Number(data[row * width + i]) + (1 - share) * Number(data[next + i]);
  }
  return float32(out, shape);
}
