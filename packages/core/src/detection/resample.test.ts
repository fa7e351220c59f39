import { describe, expect, it } from 'vitest';
import { crop, type PixelImage, pixelImage, psnr } from '../image/pixels.ts';
import { resize } from '../image/resize.ts';
import { fitLongerSide, padded, shrinkByWhole, warp } from './resample.ts';

/** Soft waves of several lengths: detail, but none that sampling cannot hold. */
function waves(width: number, height: number): PixelImage {
  const image = pixelImage(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++)
        image.data[3 * (y * width + x) + c] =
          128 + 60 * Math.sin(x / (7 + c)) + 50 * Math.cos(y / (9 - c) + x / 30) + 10 * Math.sin((x * y) / 900);
  return image;
}

const plain = (width: number, height: number, level: number) =>
  pixelImage(width, height, new Uint8Array(3 * width * height).fill(level));

describe('shrinkByWhole', () => {
  it('takes means of blocks, of smaller ones at the border', () => {
    const image = pixelImage(3, 2, Uint8Array.from([0, 10, 20, 40, 50, 60, 9, 9, 9, 4, 4, 4, 8, 8, 8, 11, 11, 11]));
    const small = shrinkByWhole(image, 2);
    expect([small.width, small.height]).toEqual([2, 1]);
    expect([...small.data]).toEqual([13, 18, 23, 10, 10, 10]);
  });
});

describe('fitLongerSide', () => {
  it.each([
    [1, 1, 64, 64],
    [4000, 1, 64, 1],
    [30, 40, 48, 64],
    [999, 500, 64, 32],
  ])('%i×%i becomes %i×%i', (width, height, toWidth, toHeight) => {
    const small = fitLongerSide(plain(width, height, 77), 64);
    expect([small.width, small.height]).toEqual([toWidth, toHeight]);
    expect(new Set(small.data)).toEqual(new Set([77]));
  });

  it('in two steps it looks as in one', () => {
    const image = waves(640, 400);
    expect(psnr(fitLongerSide(image, 64), resize(image, 64, 40))).toBeGreaterThan(35);
  });
});

describe('padded', () => {
  it('lays the picture on black', () => {
    const out = padded(plain(2, 1, 5), 4, 3, 1, 2);
    expect([...out.data].map((value, i) => (value ? i : -1)).filter((i) => i >= 0)).toEqual([27, 28, 29, 30, 31, 32]);
  });
});

describe('warp', () => {
  const image = waves(90, 70);
  const inner = (of: PixelImage, margin: number) =>
    crop(of, margin, margin, of.width - 2 * margin, of.height - 2 * margin);

  it('does nothing by the identity', () => {
    expect(warp(image, { a: 1, b: 0, x: 0, y: 0 }, 90, 70)).toEqual(image);
  });

  it.each([0.5, 1.4, 2, 3.5])('without a turn it is resize: scale %f', (scale) => {
    const larger = waves(Math.round(90 * scale), Math.round(70 * scale));
    const warped = warp(larger, { a: scale, b: 0, x: 0, y: 0 }, 90, 70);
    expect(inner(warped, 4)).toEqual(inner(resize(larger, 90, 70), 4));
  });

  it('a quarter turn moves pixels and changes none', () => {
    const turned = warp(image, { a: 0, b: 1, x: 90, y: 0 }, 70, 90);
    for (const [x, y] of [
      [0, 0],
      [17, 33],
      [69, 89],
    ] as const)
      expect([...crop(turned, x, y, 1, 1).data]).toEqual([...crop(image, 89 - y, x, 1, 1).data]);
  });

  it('repeats the nearest pixel beyond the border', () => {
    const grey = warp(plain(5, 4, 99), { a: 1, b: 0.3, x: -40, y: 25 }, 60, 60);
    expect(new Set(grey.data)).toEqual(new Set([99]));
    const dot = warp(plain(1, 1, 42), { a: 40, b: -9, x: 3, y: -200 }, 8, 8);
    expect(new Set(dot.data)).toEqual(new Set([42]));
  });

  it.each([0.4, Math.PI / 4, 2])('keeps what the result can hold, along both axes, turned by %f', (turn) => {
    const scale = 3;
    const toPhoto = { a: scale * Math.cos(turn), b: scale * Math.sin(turn), x: 150, y: 150 };
    for (const axis of [turn, turn + Math.PI / 2]) {
      const stripes = pixelImage(300, 300);
      const period = 5 * scale;
      for (let i = 0; i < 300 * 300; i++) {
        const along = ((i % 300) + 0.5 - 150) * Math.cos(axis) + (Math.floor(i / 300) + 0.5 - 150) * Math.sin(axis);
        stripes.data.fill(128 + 100 * Math.sin((2 * Math.PI * along) / period), 3 * i, 3 * i + 3);
      }
      const shown = warp(stripes, toPhoto, 20, 20).data;
      expect(Math.max(...shown) - Math.min(...shown)).toBeGreaterThan(120);
    }
  });

  it('averages what it shrinks: no aliasing of a fine chequerboard', () => {
    const board = pixelImage(400, 400);
    for (let i = 0; i < 400 * 400; i++) board.data.fill((i + Math.floor(i / 400)) % 2 ? 255 : 0, 3 * i, 3 * i + 3);
    for (const scale of [3, 9.7]) {
      const toPhoto = { a: scale * Math.cos(0.3), b: scale * Math.sin(0.3), x: 150, y: 100 };
      for (const value of warp(board, toPhoto, 16, 16).data) expect(Math.abs(value - 127.5)).toBeLessThan(10);
    }
  });
});
