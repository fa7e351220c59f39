import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { directRuntime } from '@unif2ace/graph/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeImage } from '../image/decode.node.ts';
import { crop, type PixelImage, pixelImage } from '../image/pixels.ts';
import { faceCrop, faceSquare } from '../image/resize.ts';
import { alignFace, frameLandmarks, squareToPhoto } from './align.ts';
import { findFace } from './choose.ts';
import { type FaceDetector, FaceError, type Point } from './detector.ts';
import { faceApiFolder, openFaceDetector } from './face-detector.node.ts';
import { facePose } from './quality.ts';
import { warp } from './resample.ts';
import { applySimilarity, type Similarity } from './similarity.ts';
import { loadYunet } from './yunet.ts';

const runtime = directRuntime({ intraOpThreads: 1 });
let detector: FaceDetector;
let group: PixelImage;

const sample = (i: number) => decodeImage(join(faceApiFolder(), `demo/sample${i}.jpg`));
const distance = (a: Point, b: Point) => Math.hypot(a.x - b.x, a.y - b.y);
/** Mean absolute difference in levels of 0–255. */
const difference = (a: PixelImage, b: PixelImage) =>
  a.data.reduce((sum, value, i) => sum + Math.abs(value - b.data[i]!), 0) / a.data.length;

beforeAll(async () => {
  detector = await openFaceDetector(runtime);
  group = await sample(1);
});
afterAll(() => detector.close());

describe('openFaceDetector', () => {
  it('finds the three faces of a group, the largest first, points as the persons have them', async () => {
    const faces = await detector.detect(group);
    expect(faces).toHaveLength(3);
    const areas = faces.map(({ box }) => box.width * box.height);
    expect(areas).toEqual([...areas].sort((a, b) => b - a));
    for (const { box, landmarks, score } of faces) {
      expect(score).toBeGreaterThan(0.9);
      for (const { x, y } of landmarks) {
        expect(x).toBeGreaterThan(box.x);
        expect(x).toBeLessThan(box.x + box.width);
        expect(y).toBeGreaterThan(box.y);
        expect(y).toBeLessThan(box.y + box.height);
      }
      const [rightEye, leftEye, nose, rightMouth, leftMouth] = landmarks;
      expect(rightEye.x).toBeLessThan(leftEye.x);
      expect(rightMouth.x).toBeLessThan(leftMouth.x);
      expect(nose.y).toBeGreaterThan(Math.min(rightEye.y, leftEye.y));
    }
    const second = await findFace(detector, group, { face: 2 });
    expect(second).toMatchObject({ index: 2, of: 3, box: faces[1]!.box });
    await expect(findFace(detector, group, { face: 4 })).rejects.toThrow('expected a face from 1 to 3, got face 4');
  });

  it('the same face comes out of a photo turned, scaled and shifted', async () => {
    const { landmarks } = await findFace(detector, group, { face: 3 });
    const face = alignFace(group, landmarks, 64);
    for (const [scale, degrees, left] of [
      [0.7, 8, -200],
      [1.3, -12, 150],
      [2.2, 5, 40],
    ] as const) {
      const angle = (degrees * Math.PI) / 180;
      const toGroup: Similarity = { a: scale * Math.cos(angle), b: scale * Math.sin(angle), x: 0, y: 0 };
      const centre = applySimilarity(toGroup, { x: 250, y: 250 });
      const placed = { ...toGroup, x: landmarks[2].x - centre.x + left * 0.3, y: landmarks[2].y - centre.y };
      const photo = warp(group, placed, 500, 500);
      const faces = await detector.detect(photo);
      const nose = faces.find((each) => distance(applySimilarity(placed, each.landmarks[2]), landmarks[2]) < 25)!;
      expect(facePose(nose.landmarks).rollDegrees).toBeCloseTo(facePose(landmarks).rollDegrees - degrees, -1);
      expect(difference(alignFace(photo, nose.landmarks, 64), face)).toBeLessThan(14);
    }
  });

  it('finds faces in a grey photo', async () => {
    const grey = pixelImage(group.width, group.height);
    for (let i = 0; i < grey.data.length; i++) {
      const [r, g, b] = [0, 1, 2].map((c) => group.data[3 * Math.floor(i / 3) + c]!) as [number, number, number];
      grey.data[i] = 0.299 * r + 0.587 * g + 0.114 * b;
    }
    expect(await detector.detect(grey)).toHaveLength(3);
  });

  it('a tight crop, cut at chin and forehead', async () => {
    const { box } = (await detector.detect(group))[2]!;
    const [x, y, side] = [box.x, box.y + 0.1 * box.height, 0.9 * box.height].map(Math.round) as [
      number,
      number,
      number,
    ];
    const faces = await detector.detect(crop(group, x, y, Math.round(box.width), side));
    expect(faces).toHaveLength(1);
  });

  it.each([
    ['a photo without a face', () => crop(group, 0, 0, 300, 300)],
    ['one pixel', () => pixelImage(1, 1)],
    ['a line', () => pixelImage(3000, 1)],
    ['black', () => pixelImage(200, 100)],
    [
      'noise',
      () =>
        pixelImage(
          90,
          90,
          Uint8Array.from({ length: 24300 }, (_, i) => ((i * 7919) ^ (i >> 3)) % 256),
        ),
    ],
  ])('finds none in %s', async (_name, make) => {
    await expect(findFace(detector, make(), { name: 'a.jpg' })).rejects.toThrow(
      new FaceError('a.jpg', 'a face', 'none', 'a photo where the face is larger'),
    );
  });

  it('takes a photo of 60 megapixels within memory a few times the view', async () => {
    const huge = pixelImage(10_000, 6000);
    for (let y = 0; y < group.height; y++)
      huge.data.set(
        group.data.subarray(3 * y * group.width, 3 * (y + 1) * group.width),
        3 * ((2000 + y) * huge.width + 4000),
      );
    const before = process.memoryUsage().arrayBuffers;
    const searching = detector.detect(huge);
    const grown = process.memoryUsage().arrayBuffers - before;
    await searching;
    expect(grown).toBeLessThan(100e6);
  });

  it('the light network finds the group as well', async () => {
    const tiny = await openFaceDetector(runtime, { network: 'tiny' });
    expect(await tiny.detect(group)).toHaveLength(3);
    await tiny.close();
  });
});

const data = process.env.UNIF2ACE_DATA ?? join(import.meta.dirname, '../../../../../shared/data');
const files = (folder: string, count: number) =>
  readdirSync(join(data, folder))
    .filter((name) => name.endsWith('.jpg'))
    .sort()
    .slice(0, count)
    .map((name) => join(data, folder, name));

describe.skipIf(!existsSync(data))('on the real data (skipped where UNIF2ACE_DATA or ../shared/data is absent)', () => {
  it('finds every portrait and agrees with YuNet on the points', async () => {
    const yunet = await loadYunet(runtime, join(data, 'models/yunet_n_dynamic.onnx'));
    let error = 0;
    const photos = files('portraits/female/256', 12);
    for (const file of photos) {
      const photo = await decodeImage(file);
      const face = await findFace(detector, photo);
      const reference = await findFace(yunet, photo);
      const eyes = distance(reference.landmarks[0], reference.landmarks[1]);
      const errors = face.landmarks.map((point, i) => distance(point, reference.landmarks[i]!) / eyes);
      expect(Math.max(...errors)).toBeLessThan(0.3);
      error += errors.reduce((sum, value) => sum + value, 0) / 5 / photos.length;
    }
    expect(error).toBeLessThan(0.08);
    await yunet.close();
  });

  it('an aligned picture comes out nearly as faceCrop takes it', async () => {
    const shares: number[] = [];
    const differences: number[] = [];
    for (const file of files('celeba/img_align_celeba', 16)) {
      const photo = await decodeImage(file);
      const { landmarks } = await findFace(detector, photo);
      const { left, top, side } = faceSquare(photo.width, photo.height);
      const toPhoto = squareToPhoto(landmarks, side);
      const shifts = [0, side].flatMap((x) =>
        [0, side].map((y) => distance(applySimilarity(toPhoto, { x, y }), { x: x + left, y: y + top })),
      );
      shares.push(shifts.reduce((sum, shift) => sum + shift / 4 / side, 0));
      differences.push(difference(alignFace(photo, landmarks, 64), faceCrop(photo, 64)));
    }
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    // corners move by a thirtieth of the side
    expect(mean(shares)).toBeLessThan(0.045);
    expect(mean(differences)).toBeLessThan(17);
  });

  it('the training frame is where YuNet finds the points of aligned pictures', async () => {
    const yunet = await loadYunet(runtime, join(data, 'models/yunet_n_dynamic.onnx'));
    const found: Point[][] = [];
    for (const file of files('celeba/img_align_celeba', 60)) {
      const [face] = await yunet.detect(await decodeImage(file));
      if (face) found.push([...face.landmarks]);
    }
    const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;
    for (const [i, point] of frameLandmarks(89).entries()) {
      const x = median(found.map((points) => points[i]!.x));
      const y = median(found.map((points) => points[i]!.y)) - 14;
      expect(distance(point, { x, y })).toBeLessThan(1);
    }
    await yunet.close();
  });
});
