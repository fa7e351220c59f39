import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import {
  centreCrop,
  crop,
  fromChannelsFirst,
  ImageError,
  imageGrid,
  type PixelImage,
  pixelImage,
  psnr,
  toChannelsFirst,
} from './pixels.ts';
import { faceCrop, faceSquare, resize } from './resize.ts';

/** A smooth picture with some texture. */
function scene(width: number, height: number): PixelImage {
  const image = pixelImage(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++)
        image.data[3 * (y * width + x) + c] = Math.round(
          128 + 70 * Math.sin(x / (3 + c)) * Math.cos(y / (4 + c)) + 40 * Math.sin((x + y) / 17),
        );
  return image;
}

const pixel = (image: PixelImage, x: number, y: number) => [
  ...image.data.subarray(3 * (y * image.width + x)).subarray(0, 3),
];

describe('channels first', () => {
  it('maps 0, 255 and the channels to their places', () => {
    const image = pixelImage(2, 1, Uint8Array.of(0, 51, 255, 255, 0, 102));
    expect([...toChannelsFirst(image)]).toEqual([-1, 1, Math.fround(-0.6), -1, 1, Math.fround(-0.2)]);
  });

  it('brings every byte back', () => {
    const image = pixelImage(
      16,
      16,
      Uint8Array.from({ length: 768 }, (_, i) => i % 256),
    );
    expect(fromChannelsFirst(toChannelsFirst(image), 16, 16).data).toEqual(image.data);
  });

  it('clamps, and rounds or truncates', () => {
    const x = Float32Array.of(-3, 7, Number.NaN);
    expect([...fromChannelsFirst(x, 1, 1).data]).toEqual([0, 255, 0]);
    const between = new Float32Array(3).fill((2 * 100.7) / 255 - 1);
    expect(fromChannelsFirst(between, 1, 1).data[0]).toBe(101);
    expect(fromChannelsFirst(between, 1, 1, 'truncate').data[0]).toBe(100);
  });

  it('writes into a slice of a batch and refuses a wrong size', () => {
    const batch = new Float32Array(24).fill(9);
    toChannelsFirst(pixelImage(2, 2), batch.subarray(12));
    expect([...batch.subarray(0, 12)]).toEqual(new Array(12).fill(9));
    expect([...batch.subarray(12)]).toEqual(new Array(12).fill(-1));
    expect(() => toChannelsFirst(pixelImage(2, 2), batch)).toThrow('toChannelsFirst: expected 12 floats');
    expect(() => fromChannelsFirst(batch, 2, 2)).toThrow('fromChannelsFirst: expected 12 floats');
  });
});

describe('resize', () => {
  it('keeps a flat picture flat and an equal size unchanged', () => {
    const flat = pixelImage(37, 23, new Uint8Array(37 * 23 * 3).fill(201));
    for (const [w, h] of [
      [8, 8],
      [64, 50],
      [1, 1],
      [37, 5],
    ] as const)
      expect(new Set(resize(flat, w, h).data)).toEqual(new Set([201]));
    expect(resize(scene(20, 20), 20, 20)).toEqual(scene(20, 20));
  });

  it.each([
    [89, 89, 64, 64],
    [89, 89, 32, 32],
    [200, 200, 64, 64],
    [300, 120, 60, 40],
  ])('agrees with libvips’ antialiased cubic from %i×%i to %i×%i', async (w, h, outW, outH) => {
    const image = scene(w, h);
    const reference = await sharp(image.data, { raw: { width: w, height: h, channels: 3 } })
      .resize(outW, outH, { fit: 'fill', kernel: 'cubic', fastShrinkOnLoad: false })
      .raw()
      .toBuffer();
    const ours = resize(image, outW, outH);
    // The outermost pixels differ by how each treats the border
    const inner = (picture: PixelImage) => crop(picture, 3, 3, outW - 6, outH - 6);
    expect(psnr(inner(ours), inner(pixelImage(outW, outH, reference)))).toBeGreaterThan(45);
  });

  it('keeps the mean and does not alias a fine checkerboard', () => {
    const board = pixelImage(128, 128);
    for (let i = 0; i < 128 * 128; i++)
      board.data.fill(((i % 128) + Math.floor(i / 128)) % 2 ? 255 : 0, 3 * i, 3 * i + 3);
    const small = crop(resize(board, 24, 24), 2, 2, 20, 20).data;
    for (const value of small) expect(Math.abs(value - 127.5)).toBeLessThan(6);
  });

  it('reproduces a linear ramp when enlarging (cubic convolution is exact on it)', () => {
    const ramp = pixelImage(
      16,
      1,
      Uint8Array.from({ length: 48 }, (_, i) => 10 * Math.floor(i / 3)),
    );
    const wide = resize(ramp, 64, 1);
    for (let x = 12; x < 52; x++)
      expect(Math.abs(pixel(wide, x, 0)[0]! - 10 * ((x + 0.5) / 4 - 0.5))).toBeLessThanOrEqual(0.5);
  });

  it('refuses a size that is no positive number', () => {
    expect(() => resize(scene(4, 4), 0, 4)).toThrow(ImageError);
    expect(() => resize(scene(4, 4), 2.5, 4)).toThrow('resize: expected a whole outWidth of 1 or more, got 2.5');
  });
});

describe('crops', () => {
  const positions = pixelImage(89, 109);
  for (let i = 0; i < 89 * 109; i++) positions.data.set([i % 89, Math.floor(i / 89), 0], 3 * i);

  it('cuts CelebA’s square from row 14, and the middle of any other picture', () => {
    expect(faceSquare(89, 109)).toEqual({ left: 0, top: 14, side: 89 });
    expect(faceSquare(178, 218)).toEqual({ left: 0, top: 28, side: 178 });
    expect(faceSquare(300, 200)).toEqual({ left: 50, top: 0, side: 200 });
    expect(faceSquare(200, 300)).toEqual({ left: 0, top: 50, side: 200 });
    const face = faceCrop(positions, 89);
    expect(pixel(face, 0, 0)).toEqual([0, 14, 0]);
    expect(pixel(face, 88, 88)).toEqual([88, 102, 0]);
  });

  it('finds the middle', () => {
    expect(pixel(centreCrop(positions, 9, 9), 4, 4)).toEqual([44, 54, 0]);
    expect(() => centreCrop(positions, 90, 9)).toThrow('crop: expected a rectangle within 89×109');
  });
});

describe('psnr', () => {
  it('is 20 log10(255 / d) for a constant difference d', () => {
    const [a, b] = [pixelImage(5, 4), pixelImage(5, 4, new Uint8Array(60).fill(10))];
    expect(psnr(a, b)).toBeCloseTo(20 * Math.log10(25.5), 10);
    expect(psnr(a, a)).toBe(Number.POSITIVE_INFINITY);
    expect(() => psnr(a, pixelImage(4, 5))).toThrow('psnr: expected two pictures of 5×4, got 4×5');
  });
});

describe('imageGrid', () => {
  it('places every picture and fills the gaps', () => {
    const tiles = [10, 20, 30, 40, 50].map((value) => pixelImage(3, 2, new Uint8Array(18).fill(value)));
    const grid = imageGrid(tiles, { columns: 3, padding: 1, background: [1, 2, 3] });
    expect([grid.width, grid.height]).toEqual([13, 7]);
    expect([
      pixel(grid, 1, 1)[0],
      pixel(grid, 5, 1)[0],
      pixel(grid, 11, 2)[0],
      pixel(grid, 1, 4)[0],
      pixel(grid, 7, 5)[0],
    ]).toEqual([10, 20, 30, 40, 50]);
    expect([pixel(grid, 0, 0), pixel(grid, 4, 1), pixel(grid, 10, 5)]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect([imageGrid(tiles, { padding: 0 }).width, imageGrid(tiles, { padding: 0 }).height]).toEqual([9, 4]);
  });

  it('refuses none and unequal sizes', () => {
    expect(() => imageGrid([])).toThrow('imageGrid: expected at least one picture');
    expect(() => imageGrid([pixelImage(2, 2), pixelImage(3, 2)])).toThrow('got 3×2 at position 1');
  });
});

it('pixelImage checks its bytes; errors are one line of what, expected, got, try', () => {
  expect(() => pixelImage(2, 2, new Uint8Array(11))).toThrow(
    'pixelImage: expected 12 bytes for 2×2 RGB, got 11; try three bytes a pixel',
  );
  expect(() => pixelImage(0, 2)).toThrow(ImageError);
  expect(new ImageError('a\nb', 'c', 'd\n e', 'f').message).toBe('a b: expected c, got d e; try f');
});
