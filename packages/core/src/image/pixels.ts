/**
 * Pictures as bytes: 8-bit sRGB, row-major, three interleaved channels. Everything here is portable and gives the same
 * bytes on every platform. Shapes: C channels (3), H height, W width.
 */

export interface PixelImage {
  /** In pixels. */
  readonly width: number;
  /** In pixels. */
  readonly height: number;
  /** width × height × 3 bytes, RGB interleaved, top row first. */
  readonly data: Uint8Array;
}

/** A picture that cannot be used. The message is one line: what, expected, got, try. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  /** The file or function that failed. */
  readonly what: string;
  readonly expected: string;
  readonly got: string;
  /** What the reader can do about it. */
  readonly advice: string;

  constructor(what: string, expected: string, got: string, advice: string, cause?: unknown) {
    const line = `${what}: expected ${expected}, got ${got}; try ${advice}`.replace(/\s+/g, ' ');
    super(line, cause === undefined ? undefined : { cause });
    this.what = what;
    this.expected = expected;
    this.got = got;
    this.advice = advice;
  }
}

/**
 * Checks the size against the bytes; a missing `data` gives a black picture.
 * @throws ImageError when the size is not positive or the byte count is not width × height × 3.
 */
export function pixelImage(width: number, height: number, data?: Uint8Array): PixelImage {
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1)
    throw new ImageError(
      'pixelImage',
      'a width and height of 1 or more',
      `${width}×${height}`,
      'whole positive numbers',
    );
  const bytes = width * height * 3;
  if (data && data.length !== bytes)
    throw new ImageError(
      'pixelImage',
      `${bytes} bytes for ${width}×${height} RGB`,
      `${data.length}`,
      'three bytes a pixel',
    );
  return { width, height, data: data ?? new Uint8Array(bytes) };
}

/**
 * Bytes to the model's range: x_CHW = p / 127.5 − 1, in [−1, 1] (MAGVIT-v2 input range).
 * @param out written in place when given, 3 × height × width floats (a slice of a batch).
 */
export function toChannelsFirst(image: PixelImage, out?: Float32Array): Float32Array {
  const area = image.width * image.height;
  const x_CHW = out ?? new Float32Array(3 * area);
  if (x_CHW.length !== 3 * area)
    throw new ImageError(
      'toChannelsFirst',
      `${3 * area} floats of output`,
      `${x_CHW.length}`,
      'a slice of 3 × height × width',
    );
  for (let channel = 0; channel < 3; channel++)
    for (let i = 0; i < area; i++) x_CHW[channel * area + i] = image.data[3 * i + channel]! / 127.5 - 1;
  return x_CHW;
}

/**
 * Decoder output to bytes: clamp((x + 1) / 2, 0, 1) × 255. NaN becomes 0.
 * @param x_CHW 3 × height × width floats, not yet clamped.
 * @param rounding 'nearest' (default) undoes {@link toChannelsFirst} exactly; 'truncate' is what Show-o does (reference
 *   quirk: float32 arithmetic, then a cast to uint8), half a level darker on average.
 */
export function fromChannelsFirst(
  x_CHW: Float32Array,
  width: number,
  height: number,
  rounding: 'nearest' | 'truncate' = 'nearest',
): PixelImage {
  const area = width * height;
  if (x_CHW.length !== 3 * area)
    throw new ImageError(
      'fromChannelsFirst',
      `${3 * area} floats for ${width}×${height}`,
      `${x_CHW.length}`,
      'one image at a time',
    );
  const image = pixelImage(width, height);
  for (let channel = 0; channel < 3; channel++)
    for (let i = 0; i < area; i++) {
      const unit = Math.min(1, Math.max(0, Math.fround(Math.fround(x_CHW[channel * area + i]! + 1) / 2)));
      const level = Math.fround(unit * 255);
      image.data[3 * i + channel] = rounding === 'truncate' ? Math.trunc(level) : Math.floor(level + 0.5);
    }
  return image;
}

/** The rectangle with the given upper left corner. @throws ImageError when it leaves the picture. */
export function crop(image: PixelImage, left: number, top: number, width: number, height: number): PixelImage {
  const inside = left >= 0 && top >= 0 && left + width <= image.width && top + height <= image.height;
  if (!inside || !Number.isInteger(left) || !Number.isInteger(top))
    throw new ImageError(
      'crop',
      `a rectangle within ${image.width}×${image.height}`,
      `${width}×${height} at ${left},${top}`,
      'a smaller rectangle',
    );
  const out = pixelImage(width, height);
  for (let y = 0; y < height; y++) {
    const start = 3 * ((top + y) * image.width + left);
    out.data.set(image.data.subarray(start, start + 3 * width), 3 * y * width);
  }
  return out;
}

/** Centre crop; an odd remainder leaves the extra pixel right and below. */
export function centreCrop(image: PixelImage, width: number, height: number): PixelImage {
  return crop(image, Math.floor((image.width - width) / 2), Math.floor((image.height - height) / 2), width, height);
}

/** Peak signal-to-noise ratio in dB over all bytes; Infinity for equal pictures. @throws ImageError on unequal sizes. */
export function psnr(a: PixelImage, b: PixelImage): number {
  if (a.width !== b.width || a.height !== b.height)
    throw new ImageError(
      'psnr',
      `two pictures of ${a.width}×${a.height}`,
      `${b.width}×${b.height}`,
      'resizing one of them',
    );
  let squared = 0;
  for (let i = 0; i < a.data.length; i++) squared += (a.data[i]! - b.data[i]!) ** 2;
  return squared === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(255 ** 2 / (squared / a.data.length));
}

export interface GridOptions {
  /** Pictures in a row; default: the square root of their number, rounded up. */
  columns?: number;
  /** Pixels between and around the pictures; default 2. */
  padding?: number;
  /** Colour of the gaps; default white. */
  background?: readonly [number, number, number];
}

/** Pictures of one size side by side, row by row. @throws ImageError when there is none or the sizes differ. */
export function imageGrid(images: readonly PixelImage[], options: GridOptions = {}): PixelImage {
  const first = images[0];
  if (!first) throw new ImageError('imageGrid', 'at least one picture', 'none', 'passing the pictures to compose');
  const columns = Math.max(1, Math.min(images.length, options.columns ?? Math.ceil(Math.sqrt(images.length))));
  const rows = Math.ceil(images.length / columns);
  const padding = options.padding ?? 2;
  const [red, green, blue] = options.background ?? [255, 255, 255];
  const grid = pixelImage(columns * first.width + (columns + 1) * padding, rows * first.height + (rows + 1) * padding);
  for (let i = 0; i < grid.data.length; i += 3) grid.data.set([red, green, blue], i);
  for (const [index, image] of images.entries()) {
    if (image.width !== first.width || image.height !== first.height)
      throw new ImageError(
        'imageGrid',
        `pictures of ${first.width}×${first.height}`,
        `${image.width}×${image.height} at position ${index}`,
        'resizing it first',
      );
    const left = padding + (index % columns) * (first.width + padding);
    const top = padding + Math.floor(index / columns) * (first.height + padding);
    for (let y = 0; y < image.height; y++) {
      const row = image.data.subarray(3 * y * image.width, 3 * (y + 1) * image.width);
      grid.data.set(row, 3 * ((top + y) * grid.width + left));
    }
  }
  return grid;
}
