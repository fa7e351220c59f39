import { float32, Philox } from '@unif2ace/graph';
import { describe, expect, test } from 'vitest';
import { facePixels } from '../training/face-batches.ts';
import { augmentedPixels, mixRows, mixupShares } from './augment.ts';

const none = { shiftPixels: 0, contrast: 0, brightness: 0, cutout: 0 };
/** One face whose red is the column, green the row; blue 9. */
function ramp(size: number) {
  const data = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) data.set([10 * x, 10 * y, 9], (y * size + x) * 3);
  return { size, data };
}
const random = (seed: number) => [new Philox(seed)];

describe('augmented photos', () => {
  test('nothing to change: the photo or its mirror image', () => {
    const faces = ramp(8);
    const seen = new Set<boolean>();
    for (let seed = 0; seed < 8; seed++) {
      const got = augmentedPixels(faces, [0], 8, none, random(seed)).data as Float32Array;
      const mirrored = got[0]! > got[7]!;
      seen.add(mirrored);
      const wanted = facePixels(faces, [0], [mirrored]).data as Float32Array;
      got.forEach((value, i) => {
        expect(value).toBeCloseTo(wanted[i]!, 5);
      });
    }
    expect(seen.size).toBe(2);
  });

  test('a turned and zoomed ramp is the ramp at the turned places', () => {
    const [size, edge] = [24, 8];
    const faces = ramp(size);
    const settings = { ...none, shiftPixels: 8, zoom: 0.2, turnDegrees: 30 };
    for (let seed = 0; seed < 6; seed++) {
      const got = augmentedPixels(faces, [0], edge, settings, random(seed)).data as Float32Array;
      // red and green give back where each pixel was taken
      const place = (i: number) => [0, 1].map((c) => ((got[c * edge * edge + i]! + 1) * 127.5) / 10);
      const [origin, right, below] = [0, 1, edge].map(place) as [number[], number[], number[]];
      const across = [right[0]! - origin[0]!, right[1]! - origin[1]!];
      const down = [below[0]! - origin[0]!, below[1]! - origin[1]!];
      const [length, height] = [Math.hypot(...across), Math.hypot(...down)];
      expect(length).toBeCloseTo(height, 3);
      expect(length).toBeGreaterThan(1 / 1.2 - 1e-3);
      expect(length).toBeLessThan(1 / 0.8 + 1e-3);
      expect(across[0]! * down[0]! + across[1]! * down[1]!).toBeCloseTo(0, 3);
      expect(Math.abs(Math.atan2(across[1]!, Math.abs(across[0]!)))).toBeLessThan((30 * Math.PI) / 180 + 1e-3);
    }
  });

  test('beyond the photo its edge goes on', () => {
    const data = new Uint8Array(4 * 4 * 3).fill(51);
    const got = augmentedPixels({ size: 4, data }, [0], 4, { ...none, zoom: 0.9, turnDegrees: 90 }, random(2));
    for (const value of got.data as Float32Array) expect(value).toBeCloseTo(51 / 127.5 - 1, 5);
  });
});

describe('mixup', () => {
  test('shares have the moments of the larger of Beta(α, α) and its rest', () => {
    const shares = mixupShares(
      1,
      Array.from({ length: 4000 }, (_, i) => new Philox(i)),
    );
    // α = 1: uniform on 1/2..1
    const mean = shares.reduce((a, b) => a + b, 0) / shares.length;
    expect(mean).toBeGreaterThan(0.74);
    expect(mean).toBeLessThan(0.76);
    expect(Math.min(...shares)).toBeGreaterThanOrEqual(0.5);
    // α = 0.5, the arcsine law: E|λ − 1/2| = 1/π
    const sharp = mixupShares(
      0.5,
      Array.from({ length: 4000 }, (_, i) => new Philox(i)),
    );
    const distance = sharp.reduce((a, b) => a + b - 0.5, 0) / sharp.length;
    expect(Math.abs(distance - 1 / Math.PI)).toBeLessThan(0.01);
    expect(mixupShares(0, [new Philox(1)])).toEqual([1]);
  });

  test('rows are mixed with the next one', () => {
    const mixed = mixRows(float32(Float32Array.of(0, 8, 4, 0, 2, 2), [3, 2]), [0.5, 0.75, 1]);
    expect([...mixed.data]).toEqual([2, 4, 3.5, 0.5, 2, 2]);
  });
});
