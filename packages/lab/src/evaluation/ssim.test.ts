import { pixelImage } from '@unif2ace/core';
import { expect, test } from 'vitest';
import { structuralSimilarity } from './ssim.ts';

function picture(width: number, height: number, value: (x: number, y: number, c: number) => number) {
  const image = pixelImage(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) image.data[3 * (y * width + x) + c] = value(x, y, c) % 256;
  return image;
}
const first = (x: number, y: number, c: number) => x * 7 + y * 13 + c * 40;
const second = (x: number, y: number, c: number) => x * 7 + y * 11 + c * 37 + ((x * y) % 5);

test('agrees with the definition, window by window in NumPy', () => {
  // centred moments in a two-dimensional window, float64
  expect(structuralSimilarity(picture(20, 17, first), picture(20, 17, second))).toBeCloseTo(0.4979859388816293, 10);
  expect(structuralSimilarity(picture(8, 8, first), picture(8, 8, second))).toBeCloseTo(0.9828323446674097, 10);
});

test('is 1 for equal pictures, symmetric, and refuses other sizes', () => {
  const [a, b] = [picture(16, 16, first), picture(16, 16, second)];
  expect(structuralSimilarity(a, a)).toBeCloseTo(1, 12);
  expect(structuralSimilarity(a, b)).toBeCloseTo(structuralSimilarity(b, a), 12);
  expect(() => structuralSimilarity(a, picture(8, 16, first))).toThrow(/16×16 and 8×16/);
});
