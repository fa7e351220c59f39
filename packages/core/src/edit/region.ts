import { type FaceInPhoto, faceView } from '../detection/align.ts';
import { ImageError, type PixelImage, pixelImage } from '../image/pixels.ts';
import { resize } from '../image/resize.ts';

/** A part of the aligned face by name. */
export type NamedRegion = 'hair' | 'eyes' | 'mouth';

/** A rectangle in pixels of the picture or photo given. */
export interface BoxRegion {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** What is to be made anew: a name, a rectangle, or a picture of the photo's size, white where. */
export type EditRegion = NamedRegion | BoxRegion | PixelImage;

/** Rectangles [left, top, right, bottom] as shares of the aligned square, whose eyes are at 0.51 and mouth at 0.74. */
const named: Record<NamedRegion, readonly (readonly [number, number, number, number])[]> = {
  hair: [
    [0, 0, 1, 0.36],
    [0, 0, 0.2, 0.75],
    [0.8, 0, 1, 0.75],
  ],
  eyes: [[0.2, 0.42, 0.8, 0.6]],
  mouth: [[0.3, 0.66, 0.7, 0.84]],
};

export const namedRegions = Object.keys(named) as NamedRegion[];

/** Share of a cell that must be chosen for its token to be made anew. */
const leastShare = 0.25;

/**
 * Tokens of the aligned face that a region covers, 1 or 0, row by row.
 * @param grid tokens on each side of the face's square.
 * @throws ImageError for a mask of another size than the photo's, a rectangle beside it, a region that misses the face.
 */
export function regionTokens(face: PixelImage | FaceInPhoto, region: EditRegion, grid: number): Uint8Array {
  const cellPixels = 8;
  const size = grid * cellPixels;
  const mask = typeof region === 'string' ? namedMask(region, size) : faceView(maskOver(face, region), size);
  const shares = Array.from({ length: grid * grid }, (_, token) => {
    const [top, left] = [Math.floor(token / grid) * cellPixels, (token % grid) * cellPixels];
    let sum = 0;
    for (let y = top; y < top + cellPixels; y++)
      for (let x = left; x < left + cellPixels; x++) sum += mask.data[3 * (y * size + x)]! / 255;
    return sum / cellPixels ** 2;
  });
  const most = Math.max(...shares);
  if (most < 0.01)
    throw new ImageError(
      'region',
      'a part of the face',
      'one outside of it',
      'hair, eyes, mouth or a larger rectangle',
    );
  // of a region smaller than a cell, the cell it is in
  return Uint8Array.from(shares, (share) => Number(share >= Math.min(leastShare, most)));
}

function namedMask(region: NamedRegion, size: number): PixelImage {
  const mask = pixelImage(size, size);
  for (const [left, top, right, bottom] of named[region])
    fill(mask, { x: left * size, y: top * size, width: (right - left) * size, height: (bottom - top) * size });
  return mask;
}

/** The region in the photo, to be aligned as the photo is. */
function maskOver(face: PixelImage | FaceInPhoto, region: BoxRegion | PixelImage): PixelImage | FaceInPhoto {
  const photo = 'photo' in face ? face.photo : face;
  const placed = (mask: PixelImage) => ('photo' in face ? { photo: mask, landmarks: face.landmarks } : mask);
  const of = `${photo.width}×${photo.height}`;
  if ('data' in region) {
    if (region.width !== photo.width || region.height !== photo.height)
      throw new ImageError(
        'mask',
        `a picture of ${of}, as the photo`,
        `${region.width}×${region.height}`,
        'resizing it',
      );
    return placed(region);
  }
  const { x, y, width, height } = region;
  if (!(width > 0 && height > 0 && x < photo.width && y < photo.height && x + width > 0 && y + height > 0))
    throw new ImageError('region', `a rectangle within ${of}`, `${x},${y},${width},${height}`, 'hair, eyes or mouth');
  const mask = pixelImage(photo.width, photo.height);
  fill(mask, region);
  return placed(mask);
}

function fill(mask: PixelImage, { x, y, width, height }: BoxRegion): void {
  const within = (value: number, end: number) => Math.min(end, Math.max(0, Math.round(value)));
  for (let row = within(y, mask.height); row < within(y + height, mask.height); row++)
    mask.data.fill(
      255,
      3 * (row * mask.width + within(x, mask.width)),
      3 * (row * mask.width + within(x + width, mask.width)),
    );
}

/** `made` where tokens were made anew, `kept` elsewhere, softly over the border between two cells. */
export function blendTokens(kept: PixelImage, made: PixelImage, tokens: Uint8Array, grid: number): PixelImage {
  const cells = pixelImage(grid, grid);
  for (const [i, token] of tokens.entries()) cells.data.fill(255 * token, 3 * i, 3 * i + 3);
  const weights = resize(cells, kept.width, kept.height);
  const out = pixelImage(kept.width, kept.height);
  for (let i = 0; i < out.data.length; i++) {
    const weight = weights.data[i]! / 255;
    out.data[i] = Math.round(kept.data[i]! * (1 - weight) + made.data[i]! * weight);
  }
  return out;
}
