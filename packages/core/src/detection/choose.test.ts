import { describe, expect, it } from 'vitest';
import { pixelImage } from '../image/pixels.ts';
import { frameLandmarks } from './align.ts';
import { findFace } from './choose.ts';
import type { FaceDetector } from './detector.ts';

const photo = pixelImage(100, 100);
const detector = (sides: readonly number[]): FaceDetector => ({
  detect: async () =>
    sides.map((side) => ({
      box: { x: 1, y: 2, width: side, height: side },
      landmarks: frameLandmarks(side),
      score: 0.9,
    })),
  close: async () => {},
});

describe('findFace', () => {
  it('takes the largest, or the one asked for', async () => {
    expect(await findFace(detector([50, 20]), photo)).toMatchObject({ photo, index: 1, of: 2, box: { width: 50 } });
    expect(await findFace(detector([50, 20]), photo, { face: 2 })).toMatchObject({
      index: 2,
      of: 2,
      box: { width: 20 },
    });
  });

  it.each([
    [[], {}, 'photo: expected a face, got none; try a photo where the face is larger'],
    [[], { name: 'a.jpg', face: 2 }, 'a.jpg: expected a face, got none; try a photo where the face is larger'],
    [[9], { name: 'a.jpg', face: 2 }, 'a.jpg: expected face 1, the only one, got face 2; try face 1, the largest'],
    [[9, 8], { face: 3 }, 'photo: expected a face from 1 to 2, got face 3; try face 1, the largest'],
    [[9, 8], { face: 0 }, 'photo: expected a face from 1 to 2, got face 0; try face 1, the largest'],
  ])('%j with %j is one clear line', async (sides, options, message) => {
    await expect(findFace(detector(sides), photo, options)).rejects.toThrow(
      expect.objectContaining({ name: 'FaceError', message }),
    );
  });
});
