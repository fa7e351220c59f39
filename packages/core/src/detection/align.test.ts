import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PixelImage, pixelImage, psnr } from '../image/pixels.ts';
import { faceCrop } from '../image/resize.ts';
import { alignFace, faceView, frameLandmarks } from './align.ts';
import { FaceError, type FaceLandmarks, type Point } from './detector.ts';
import { applySimilarity, type Similarity } from './similarity.ts';

/** A made-up face in the aligned frame, smooth enough to be sampled at any scale: colour at u, v in −1..1. */
function paint(u: number, v: number): [number, number, number] {
  const spot = (x: number, y: number, size: number) => Math.exp(-((u - x) ** 2 + (v - y) ** 2) / size ** 2);
  const dark = spot(-0.22, -0.06, 0.12) + spot(0.22, -0.06, 0.12) + spot(0, 0.2, 0.08) + spot(0, 0.4, 0.15);
  const skin = Math.exp(-((u * u) / 0.5 + (v * v) / 0.8));
  return [60 + 150 * skin - 60 * dark, 70 + 110 * skin - 50 * dark + 20 * u, 90 + 80 * skin - 40 * dark - 30 * v];
}

/** The face of the aligned square of side 64 as it appears when `toPhoto` puts it into a photo. */
function photograph(toPhoto: Similarity, width: number, height: number): PixelImage {
  const { a, b, x, y } = toPhoto;
  const squared = a * a + b * b;
  const image = pixelImage(width, height);
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      const [dx, dy] = [column + 0.5 - x, row + 0.5 - y];
      const [u, v] = [(a * dx + b * dy) / squared, (a * dy - b * dx) / squared];
      image.data.set(paint(u / 32 - 1, v / 32 - 1), 3 * (row * width + column));
    }
  return image;
}

const landmarksIn = (toPhoto: Similarity) =>
  frameLandmarks(64).map((point: Point) => applySimilarity(toPhoto, point)) as unknown as FaceLandmarks;

describe('alignFace', () => {
  const upright = photograph({ a: 1, b: 0, x: 0, y: 0 }, 64, 64);

  it('gives the same face of a photo however it is turned, scaled and shifted', () => {
    fc.assert(
      fc.property(
        fc.record({
          scale: fc.double({ min: 0.8, max: 6, noNaN: true }),
          turn: fc.double({ min: -Math.PI, max: Math.PI, noNaN: true }),
          left: fc.integer({ min: 0, max: 40 }),
          top: fc.integer({ min: 0, max: 40 }),
        }),
        ({ scale, turn, left, top }) => {
          const [a, b] = [scale * Math.cos(turn), scale * Math.sin(turn)];
          const side = Math.ceil(64 * scale * Math.SQRT2) + 60;
          // the square's centre in the middle, so that all of it is in the photo
          const toPhoto = { a, b, x: side / 2 + left - 32 * (a - b), y: side / 2 + top - 32 * (a + b) };
          const photo = photograph(toPhoto, side + 60, side + 60);
          expect(psnr(alignFace(photo, landmarksIn(toPhoto), 64), upright)).toBeGreaterThan(38);
        },
      ),
      { numRuns: 15 },
    );
  });

  it.each([
    [178, 218],
    [89, 109],
  ])('leaves an aligned picture of %i×%i as faceCrop does', (width, height) => {
    const scale = width / 64;
    const toPhoto = { a: scale, b: 0, x: 0, y: (height * 14) / 109 };
    const photo = photograph(toPhoto, width, height);
    expect(psnr(alignFace(photo, landmarksIn(toPhoto), 64), faceCrop(photo, 64))).toBeGreaterThan(45);
  });

  it('takes a face half out of the photo and a photo of one pixel', () => {
    const photo = photograph({ a: 1, b: 0, x: -30, y: 0 }, 40, 64);
    const face = alignFace(photo, landmarksIn({ a: 1, b: 0, x: -30, y: 0 }), 32);
    expect([face.width, face.height]).toEqual([32, 32]);
    const dot = alignFace(pixelImage(1, 1, Uint8Array.of(7, 8, 9)), frameLandmarks(1), 4);
    expect([...dot.data]).toEqual(new Array(16).fill([7, 8, 9]).flat());
  });

  it('refuses points that coincide', () => {
    const same = new Array(5).fill({ x: 3, y: 3 }) as unknown as FaceLandmarks;
    expect(() => alignFace(upright, same, 64)).toThrow(FaceError);
  });
});

describe('faceView', () => {
  it('aligns a photo with landmarks and crops a bare picture', () => {
    const photo = photograph({ a: 1, b: 0, x: 9, y: 3 }, 80, 70);
    const landmarks = landmarksIn({ a: 1, b: 0, x: 9, y: 3 });
    expect(faceView({ photo, landmarks }, 32)).toEqual(alignFace(photo, landmarks, 32));
    expect(faceView(photo, 32)).toEqual(faceCrop(photo, 32));
  });
});
