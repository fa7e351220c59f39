import { crop, ImageError, type PixelImage, pixelImage } from './pixels.ts';

/** Weights of the input samples under one output sample. */
interface Tap {
  start: number;
  weights: Float64Array;
}

const bicubicRadius = 2;

/** Cubic convolution kernel with a = −0.5 (Keys 1981): a polynomial, so no platform's sin() can change a byte. */
function bicubic(distance: number): number {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
  return 0;
}

/** Weights for one axis. Shrinking widens the kernel by the scale, which is what keeps fine detail from aliasing. */
function taps(inputSize: number, outputSize: number): Tap[] {
  const scale = inputSize / outputSize;
  const stretch = Math.max(1, scale);
  return Array.from({ length: outputSize }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const start = Math.max(0, Math.floor(centre - bicubicRadius * stretch + 0.5));
    const end = Math.min(inputSize, Math.floor(centre + bicubicRadius * stretch + 0.5));
    const weights = new Float64Array(end - start);
    let total = 0;
    for (let j = 0; j < weights.length; j++) {
      weights[j] = bicubic((start + j + 0.5 - centre) / stretch);
      total += weights[j]!;
    }
    for (let j = 0; j < weights.length; j++) weights[j] = weights[j]! / total;
    return { start, weights };
  });
}

/** A function that resizes pictures of one size to another; the weights are made once (worth it for a data set). */
export function makeResizer(
  width: number,
  height: number,
  outWidth: number,
  outHeight: number,
): (image: PixelImage) => PixelImage {
  for (const [name, size] of Object.entries({ width, height, outWidth, outHeight }))
    if (!Number.isInteger(size) || size < 1)
      throw new ImageError('resize', `a whole ${name} of 1 or more`, `${size}`, 'a positive number of pixels');
  const horizontal = taps(width, outWidth);
  const vertical = taps(height, outHeight);
  const middle = new Float64Array(3 * outWidth * height);
  return (image) => {
    if (image.width !== width || image.height !== height)
      throw new ImageError(
        'resize',
        `a picture of ${width}×${height}`,
        `${image.width}×${image.height}`,
        'a resizer of its own',
      );
    for (let y = 0; y < height; y++)
      for (let x = 0; x < outWidth; x++) {
        const { start, weights } = horizontal[x]!;
        let [red, green, blue] = [0, 0, 0];
        let from = 3 * (y * width + start);
        for (let j = 0; j < weights.length; j++, from += 3) {
          const weight = weights[j]!;
          red += weight * image.data[from]!;
          green += weight * image.data[from + 1]!;
          blue += weight * image.data[from + 2]!;
        }
        const to = 3 * (y * outWidth + x);
        middle[to] = red;
        middle[to + 1] = green;
        middle[to + 2] = blue;
      }
    const out = pixelImage(outWidth, outHeight);
    const rowLength = 3 * outWidth;
    for (let y = 0; y < outHeight; y++) {
      const { start, weights } = vertical[y]!;
      for (let x = 0; x < rowLength; x++) {
        let sum = 0;
        for (let j = 0; j < weights.length; j++) sum += weights[j]! * middle[(start + j) * rowLength + x]!;
        out.data[y * rowLength + x] = Math.floor(Math.min(255, Math.max(0, sum)) + 0.5);
      }
    }
    return out;
  };
}

/**
 * Antialiased bicubic resize in Float64, rounded once at the end; the same bytes on every platform. Pixel centres sit at
 * half integers, and the kernel is cut off and renormalised at the border (as torchvision's antialiased bicubic).
 * @throws ImageError when a size is not a positive whole number.
 */
export function resize(image: PixelImage, width: number, height: number): PixelImage {
  if (image.width === width && image.height === height) return pixelImage(width, height, image.data.slice());
  return makeResizer(image.width, image.height, width, height)(image);
}

/** The square that {@link faceCrop} cuts out. */
export function faceSquare(width: number, height: number): { left: number; top: number; side: number } {
  const side = Math.min(width, height);
  // CelebA's aligned frame (89×109, 178×218) has the face below its middle: 14 of 109 rows are cut above, 6 below.
  const celebA = width * 109 === height * 89;
  const top = celebA ? Math.round((height * 14) / 109) : Math.floor((height - side) / 2);
  return { left: Math.floor((width - side) / 2), top, side };
}

/**
 * Centre square, resized to size × size. A picture in CelebA's aspect ratio counts as aligned: its square starts at row
 * 14 of 109 (89×89 of 89×109), which frames the face as the model was trained.
 */
export function faceCrop(image: PixelImage, size: number): PixelImage {
  const { left, top, side } = faceSquare(image.width, image.height);
  return resize(crop(image, left, top, side, side), size, size);
}
