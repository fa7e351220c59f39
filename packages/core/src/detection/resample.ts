import { crop, type PixelImage, pixelImage } from '../image/pixels.ts';
import { resize } from '../image/resize.ts';
import { applySimilarity, type Similarity } from './similarity.ts';

/** Cubic convolution with a = −0.5 (Keys 1981), the kernel of `resize`. */
function bicubic(distance: number): number {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/** Means of blocks of `factor` × `factor` pixels; blocks at the right and lower border may be smaller. */
export function shrinkByWhole(image: PixelImage, factor: number): PixelImage {
  const out = pixelImage(Math.ceil(image.width / factor), Math.ceil(image.height / factor));
  const sums = new Float64Array(3 * out.width);
  for (let y = 0; y < out.height; y++) {
    sums.fill(0);
    const bottom = Math.min(image.height, (y + 1) * factor);
    for (let row = y * factor; row < bottom; row++)
      for (let x = 0, from = 3 * row * image.width; x < image.width; x++, from += 3) {
        const to = 3 * Math.floor(x / factor);
        sums[to]! += image.data[from]!;
        sums[to + 1]! += image.data[from + 1]!;
        sums[to + 2]! += image.data[from + 2]!;
      }
    for (let x = 0; x < out.width; x++) {
      const area = (bottom - y * factor) * (Math.min(image.width, (x + 1) * factor) - x * factor);
      for (let c = 0; c < 3; c++) out.data[3 * (y * out.width + x) + c] = Math.floor(sums[3 * x + c]! / area + 0.5);
    }
  }
  return out;
}

/**
 * The picture with its longer side made `side` pixels. Large pictures shrink in two steps, so that working memory stays
 * within a few times that of the result.
 */
export function fitLongerSide(image: PixelImage, side: number): PixelImage {
  const longer = Math.max(image.width, image.height);
  const factor = Math.floor(longer / (2 * side));
  const reduced = factor > 1 ? shrinkByWhole(image, factor) : image;
  const to = (size: number) => Math.max(1, Math.round((size * side) / longer));
  return resize(reduced, to(image.width), to(image.height));
}

/** The picture on a black one of width × height, its upper left corner at left, top. */
export function padded(image: PixelImage, width: number, height: number, left = 0, top = 0): PixelImage {
  const out = pixelImage(width, height);
  for (let y = 0; y < image.height; y++)
    out.data.set(image.data.subarray(3 * y * image.width, 3 * (y + 1) * image.width), 3 * ((top + y) * width + left));
  return out;
}

/**
 * Picture of width × height whose point p shows the photo's point `toPhoto(p)`: antialiased bicubic (Keys, a = −0.5), its
 * kernel turned and widened with the photo when that shrinks. Beyond the border the nearest pixel is repeated. With no turn
 * it equals `resize` of the same rectangle, but for two pixels at the border.
 */
export function warp(photo: PixelImage, toPhoto: Similarity, width: number, height: number): PixelImage {
  const scale = Math.hypot(toPhoto.a, toPhoto.b);
  const factor = Math.floor(scale / 2);
  if (factor > 1) {
    const { a, b, x, y } = toPhoto;
    const [left, top, region] = covered(photo, toPhoto, width, height, 4 * scale);
    const step = { a: a / factor, b: b / factor, x: (x - left) / factor, y: (y - top) / factor };
    return warp(shrinkByWhole(region, factor), step, width, height);
  }
  const stretch = Math.max(1, scale);
  // kernel axes: the result's when the photo shrinks, the photo's when it grows
  const [cos, sin] = scale > 1 ? [toPhoto.a / scale, toPhoto.b / scale] : [1, 0];
  const reach = 2 * stretch * (Math.abs(cos) + Math.abs(sin));
  const out = pixelImage(width, height);
  const clampX = (x: number) => Math.min(photo.width - 1, Math.max(0, x));
  const clampY = (y: number) => Math.min(photo.height - 1, Math.max(0, y));
  for (let v = 0; v < height; v++)
    for (let u = 0; u < width; u++) {
      const centre = applySimilarity(toPhoto, { x: u + 0.5, y: v + 0.5 });
      const [firstX, firstY] = [Math.floor(centre.x - reach), Math.floor(centre.y - reach)];
      const [lastX, lastY] = [Math.ceil(centre.x + reach), Math.ceil(centre.y + reach)];
      let [red, green, blue, total] = [0, 0, 0, 0];
      for (let y = firstY; y <= lastY; y++) {
        const dy = (y + 0.5 - centre.y) / stretch;
        const row = clampY(y) * photo.width;
        for (let x = firstX; x <= lastX; x++) {
          const dx = (x + 0.5 - centre.x) / stretch;
          const weight = bicubic(cos * dx + sin * dy) * bicubic(cos * dy - sin * dx);
          if (weight === 0) continue;
          const from = 3 * (row + clampX(x));
          red += weight * photo.data[from]!;
          green += weight * photo.data[from + 1]!;
          blue += weight * photo.data[from + 2]!;
          total += weight;
        }
      }
      const to = 3 * (v * width + u);
      out.data[to] = toByte(red / total);
      out.data[to + 1] = toByte(green / total);
      out.data[to + 2] = toByte(blue / total);
    }
  return out;
}

function toByte(value: number): number {
  return Math.floor(Math.min(255, Math.max(0, value)) + 0.5);
}

/** The part of the photo that a warp reads, at least one pixel of it: left, top, pixels. */
function covered(
  photo: PixelImage,
  toPhoto: Similarity,
  width: number,
  height: number,
  margin: number,
): [number, number, PixelImage] {
  const corners = [
    { x: 0, y: 0 },
    { x: width, y: 0 },
    { x: 0, y: height },
    { x: width, y: height },
  ].map((corner) => applySimilarity(toPhoto, corner));
  const range = (values: number[], size: number) => {
    const first = Math.min(size - 1, Math.max(0, Math.floor(Math.min(...values) - margin)));
    return [first, Math.max(first + 1, Math.min(size, Math.ceil(Math.max(...values) + margin)))] as const;
  };
  const [left, right] = range(
    corners.map(({ x }) => x),
    photo.width,
  );
  const [top, bottom] = range(
    corners.map(({ y }) => y),
    photo.height,
  );
  return [left, top, crop(photo, left, top, right - left, bottom - top)];
}
