import { describe, expect, test } from 'vitest';
import { frameLandmarks } from '../detection/align.ts';
import { pixelImage } from '../image/pixels.ts';
import { blendTokens, type EditRegion, namedRegions, regionTokens } from './region.ts';

const grid = 8;
const square = pixelImage(64, 64);
const rows = (tokens: Uint8Array) =>
  Array.from({ length: grid }, (_, row) => [...tokens.subarray(row * grid, (row + 1) * grid)].join(''));

describe('tokens of a region', () => {
  test('names: hair frames the face, eyes and mouth lie where the frame has them', () => {
    const drawn = Object.fromEntries(namedRegions.map((name) => [name, rows(regionTokens(square, name, grid))]));
    expect(drawn.hair!.slice(0, 3)).toEqual(['11111111', '11111111', '11111111']);
    expect(drawn.hair!.slice(3, 6)).toEqual(['11000011', '11000011', '11000011']);
    expect(drawn.hair!.slice(6)).toEqual(['00000000', '00000000']);
    const cell = (index: number) => {
      const { x, y } = frameLandmarks(grid)[index]!;
      return Math.floor(y) * grid + Math.floor(x);
    };
    const [eyes, mouth] = [regionTokens(square, 'eyes', grid), regionTokens(square, 'mouth', grid)];
    for (const point of [0, 1]) expect([eyes[cell(point)], mouth[cell(point)]]).toEqual([1, 0]);
    for (const point of [3, 4]) expect([eyes[cell(point)], mouth[cell(point)]]).toEqual([0, 1]);
  });

  test('a rectangle in pixels of the picture covers its cells; a mask of it the same ones', () => {
    const box = { x: 16, y: 8, width: 24, height: 16 };
    const mask = pixelImage(64, 64);
    for (let y = 8; y < 24; y++) mask.data.fill(255, 3 * (64 * y + 16), 3 * (64 * y + 40));
    const expected = ['00000000', '00111000', '00111000', '00000000'];
    expect(rows(regionTokens(square, box, grid)).slice(0, 4)).toEqual(expected);
    expect(rows(regionTokens(square, mask, grid)).slice(0, 4)).toEqual(expected);
  });

  test('in a photo the rectangle is where the photo has it, the face turned upright', () => {
    // twice the frame, shifted, turned by a quarter: the right side of the photo is the top of the face
    const landmarks = frameLandmarks(128).map(({ x, y }) => ({ x: 300 - y, y: 40 + x })) as never;
    const face = { photo: pixelImage(400, 240), landmarks };
    const top = regionTokens(face, { x: 284, y: 40, width: 16, height: 128 }, grid);
    expect(rows(top)).toEqual(['11111111', ...new Array<string>(7).fill('00000000')]);
  });

  test('a region smaller than a cell is the cell it is in', () => {
    const tokens = regionTokens(square, { x: 33, y: 41, width: 2, height: 2 }, grid);
    expect([...tokens].flatMap((token, i) => (token ? [i] : []))).toEqual([5 * grid + 4]);
  });

  test.each<[string, EditRegion, RegExp]>([
    [
      'beside the picture',
      { x: 64, y: 0, width: 5, height: 5 },
      /^region: expected a rectangle within 64×64, got 64,0,5,5/,
    ],
    ['without area', { x: 3, y: 3, width: 0, height: 5 }, /^region: expected a rectangle within/],
    ['a mask of another size', pixelImage(32, 64), /^mask: expected a picture of 64×64, as the photo, got 32×64/],
    ['a black mask', pixelImage(64, 64), /^region: expected a part of the face, got one outside of it/],
  ])('%s is one clear line', (_, region, message) => {
    expect(() => regionTokens(square, region, grid)).toThrow(message);
  });
});

test('blending keeps what is a cell away from the region, takes what is within, and is soft between', () => {
  const [kept, made] = [pixelImage(64, 64), pixelImage(64, 64)];
  kept.data.fill(10);
  made.data.fill(210);
  const tokens = regionTokens(square, { x: 0, y: 0, width: 32, height: 64 }, grid);
  const { data } = blendTokens(kept, made, tokens, grid);
  const at = (x: number) => data[3 * (64 * 30 + x)]!;
  for (let x = 0; x < 20; x++) expect(at(x)).toBe(210);
  for (let x = 44; x < 64; x++) expect(at(x)).toBe(10);
  expect(at(31)).toBeGreaterThan(at(32));
  expect(at(32)).toBeGreaterThan(10);
});
