import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pixelImage } from '../image/pixels.ts';
import { resize } from '../image/resize.ts';
import { frameLandmarks } from './align.ts';
import type { FaceLandmarks } from './detector.ts';
import { facePose, faceQuality, laplacianVariance } from './quality.ts';
import { applySimilarity } from './similarity.ts';

const frontal = frameLandmarks(100);
const moved = (points: FaceLandmarks, move: (point: { x: number; y: number }) => { x: number; y: number }) =>
  points.map(move) as unknown as FaceLandmarks;

describe('facePose', () => {
  it('of the training frame is frontal', () => {
    const { rollDegrees, yaw, pitch } = facePose(frontal);
    expect(rollDegrees).toBeCloseTo(0);
    expect(Math.abs(yaw)).toBeLessThan(0.05);
    expect(pitch).toBeCloseTo(0.59, 2);
  });

  it('measures a turn in the plane, and yaw and pitch independently of it and of scale', () => {
    const turned: FaceLandmarks = [frontal[0], frontal[1], { x: frontal[2].x + 5, y: 60 }, frontal[3], frontal[4]];
    const { yaw, pitch } = facePose(turned);
    fc.assert(
      fc.property(
        fc.double({ min: -179, max: 179, noNaN: true }),
        fc.double({ min: 0.1, max: 9, noNaN: true }),
        (degrees, scale) => {
          const angle = (degrees * Math.PI) / 180;
          const [a, b] = [scale * Math.cos(angle), scale * Math.sin(angle)];
          const pose = facePose(moved(turned, (point) => applySimilarity({ a, b, x: 3, y: -8 }, point)));
          expect(pose.rollDegrees).toBeCloseTo(degrees, 6);
          expect(pose.yaw).toBeCloseTo(yaw, 6);
          expect(pose.pitch).toBeCloseTo(pitch, 6);
        },
      ),
    );
  });

  it('yaw is 1 above the left eye, −1 above the right, and changes sign in the mirror', () => {
    const noseAt = (x: number): FaceLandmarks => [
      { x: 10, y: 10 },
      { x: 30, y: 10 },
      { x, y: 20 },
      { x: 12, y: 30 },
      { x: 28, y: 30 },
    ];
    expect(facePose(noseAt(30)).yaw).toBeCloseTo(1);
    expect(facePose(noseAt(10)).yaw).toBeCloseTo(-1);
    expect(facePose(noseAt(20)).yaw).toBeCloseTo(0);
  });
});

describe('sharpness', () => {
  const noisy = pixelImage(120, 120);
  for (let i = 0; i < noisy.data.length; i++) noisy.data[i] = (i * 7919) % 256;

  it('falls with blur and is 0 where nothing is', () => {
    const blurred = resize(resize(noisy, 30, 30), 120, 120);
    expect(laplacianVariance(noisy)).toBeGreaterThan(10 * laplacianVariance(blurred));
    expect(laplacianVariance(pixelImage(50, 50))).toBe(0);
    expect(laplacianVariance(pixelImage(1, 1))).toBe(0);
  });

  it('is measured on the aligned face; the side is in pixels of the photo', () => {
    const quality = faceQuality(noisy, frontal);
    expect(quality.sidePixels).toBeCloseTo(100);
    expect(quality.sharpness).toBeGreaterThan(0);
    expect(quality).toMatchObject(facePose(frontal));
  });
});
