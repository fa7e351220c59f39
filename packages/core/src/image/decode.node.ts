import { readFile, stat } from 'node:fs/promises';
import sharp, { type Metadata } from 'sharp';
import { ImageError, type PixelImage, pixelImage } from './pixels.ts';
import { pngChunks } from './png.ts';

export interface DecodeOptions {
  /** Largest width × height, checked in the header before anything is decoded. Default 24 million pixels. */
  maxPixels?: number;
  /** Largest file. Default 64 MiB. */
  maxBytes?: number;
  /** What transparent pixels are laid over. Default mid grey (128, 128, 128). */
  background?: readonly [number, number, number];
  /** Name for error messages; default: the path, or "image" for bytes. */
  name?: string;
}

export interface ReducedImage extends PixelImage {
  /** Size of the whole picture. */
  readonly upright: { readonly width: number; readonly height: number };
}

const supported = 'a JPEG, PNG, WebP, GIF, TIFF or AVIF picture';

/**
 * Any still photo to upright 8-bit sRGB: EXIF rotation applied, grey, CMYK, palette and 16-bit converted, embedded colour
 * profiles honoured, transparency flattened.
 * @param input a file path or the file's bytes.
 * @throws ImageError (one line) for a missing or empty file, a folder, a file that is no picture, is cut short or damaged,
 *   is animated, or is larger than the limits. Vector files are refused: they are programs, not photos.
 */
export async function decodeImage(input: string | Uint8Array, options: DecodeOptions = {}): Promise<PixelImage> {
  const { width, height, data } = await decode(input, options, null);
  return { width, height, data };
}

/**
 * The same, a larger picture reduced to a longer side of `longestSide` pixels while it is decoded, off the caller's thread.
 * @throws ImageError as {@link decodeImage}.
 */
export function decodeReduced(
  input: string | Uint8Array,
  longestSide: number,
  options: DecodeOptions = {},
): Promise<ReducedImage> {
  return decode(input, options, longestSide);
}

async function decode(
  input: string | Uint8Array,
  options: DecodeOptions,
  longestSide: number | null,
): Promise<ReducedImage> {
  const { maxPixels = 24e6, maxBytes = 64 * 2 ** 20, background = [128, 128, 128] } = options;
  const name = options.name ?? (typeof input === 'string' ? input : 'image');
  const bytes = typeof input === 'string' ? await readBounded(input, name, maxBytes) : input;
  if (bytes.length === 0) throw new ImageError(name, supported, 'an empty file (0 bytes)', 'another copy of it');
  if (bytes.length > maxBytes) throw tooManyBytes(name, maxBytes, bytes.length);
  const format = sniff(bytes);
  if (format.refused) throw new ImageError(name, supported, format.name, 'saving it as JPEG or PNG');

  const metadata = await readHeader(bytes, name, format.name);
  const { width, height } = metadata;
  const frames = format.name === 'PNG' ? apngFrames(bytes) : (metadata.pages ?? 1);
  if (frames > 1) {
    const got = format.name === 'TIFF' ? `a TIFF of ${frames} pages` : `an animated ${format.name} of ${frames} frames`;
    throw new ImageError(name, 'one still picture', got, 'a still image, e.g. one frame saved as PNG');
  }
  if (width * height > maxPixels) {
    const got = `${width}×${height} (${megapixels(width * height)})`;
    throw new ImageError(name, `at most ${megapixels(maxPixels)}`, got, 'a smaller copy of the picture');
  }
  try {
    const [r, g, b] = background;
    const whole = sharp(bytes, { failOn: 'error', limitInputPixels: maxPixels, sequentialRead: true }).autoOrient();
    const reduced =
      longestSide === null
        ? whole
        : whole.resize({ width: longestSide, height: longestSide, fit: 'inside', withoutEnlargement: true });
    const { data, info } = await reduced
      .flatten({ background: { r, g, b } })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const image = pixelImage(info.width, info.height, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    const turned = (metadata.orientation ?? 1) > 4;
    return { ...image, upright: turned ? { width: height, height: width } : { width, height } };
  } catch (error) {
    throw damaged(name, format.name, error);
  }
}

async function readBounded(path: string, name: string, maxBytes: number): Promise<Uint8Array> {
  try {
    const status = await stat(path);
    if (status.isDirectory()) throw new ImageError(name, 'a picture file', 'a folder', 'the path of one picture in it');
    if (!status.isFile()) throw new ImageError(name, 'a picture file', 'no regular file', 'a file on disk');
    if (status.size > maxBytes) throw tooManyBytes(name, maxBytes, status.size);
    return await readFile(path);
  } catch (error) {
    if (error instanceof ImageError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'an error';
    const missing = code === 'ENOENT' || code === 'ENOTDIR';
    throw new ImageError(name, 'a readable file', missing ? 'no such file' : code, 'checking the path', error);
  }
}

function tooManyBytes(name: string, maxBytes: number, got: number): ImageError {
  const mib = (n: number) => `${(n / 2 ** 20).toFixed(1)} MiB`;
  return new ImageError(name, `at most ${mib(maxBytes)}`, mib(got), 'a smaller copy of the picture');
}

const megapixels = (pixels: number): string => `${Number((pixels / 1e6).toFixed(1))} megapixels`;

/**
 * Format by its first bytes, so that sharp is never handed a file type outside the list above.
 * A refused file's name reads as the "got" of the error.
 */
function sniff(bytes: Uint8Array): { name: string; refused: boolean } {
  const ascii = String.fromCharCode(...bytes.subarray(0, 512));
  const known: [string, boolean][] = [
    ['JPEG', ascii.startsWith('\xff\xd8\xff')],
    ['PNG', ascii.startsWith('\x89PNG\r\n\x1a\n')],
    ['WebP', ascii.startsWith('RIFF') && ascii.slice(8, 12) === 'WEBP'],
    ['GIF', /^GIF8[79]a/.test(ascii)],
    ['TIFF', /^(?:II[*+]\0|MM\0[*+])/.test(ascii)],
    ['AVIF', /^avi[fs]$/.test(ascii.slice(8, 12)) && ascii.slice(4, 8) === 'ftyp'],
  ];
  const name = known.find(([, matches]) => matches)?.[0];
  if (name) return { name, refused: false };
  const other: [string, boolean][] = [
    ['an SVG drawing', /<svg[\s>]/i.test(ascii)],
    ['an HTML or XML text', /^\s*(?:\xef\xbb\xbf)?\s*<[!?a-z]/i.test(ascii)],
    ['a PDF document', ascii.startsWith('%PDF')],
    ['a HEIC photo', ascii.slice(4, 8) === 'ftyp' && /^(?:hei|hev|mif|msf)/.test(ascii.slice(8, 12))],
    ['a BMP picture', ascii.startsWith('BM') && ascii.slice(6, 10) === '\0\0\0\0'],
    ['a text file', /^[\t\n\r\x20-\x7e\x80-\xff]+$/.test(ascii) && /[a-z ]{3}/i.test(ascii)],
  ];
  return { name: other.find(([, matches]) => matches)?.[0] ?? 'something that is no picture', refused: true };
}

async function readHeader(
  bytes: Uint8Array,
  name: string,
  format: string,
): Promise<Metadata & { width: number; height: number }> {
  try {
    // The limit is ours to check, so that the message can give the size
    return await sharp(bytes, { failOn: 'error', limitInputPixels: false }).metadata();
  } catch (error) {
    throw damaged(name, format, error);
  }
}

function damaged(name: string, format: string, error: unknown): ImageError {
  const detail = (error instanceof Error ? error.message : String(error)).trim().split('\n').at(-1)!;
  const got = `a file that is cut short or damaged (${detail.slice(0, 120)})`;
  return new ImageError(name, `a complete ${format} file`, got, 'another copy of it', error);
}

/** Frames of an animated PNG (acTL chunk), which libpng would pass over in silence; 1 for a plain PNG. */
function apngFrames(bytes: Uint8Array): number {
  try {
    for (const { type, body } of pngChunks(bytes)) {
      if (type === 'IDAT') return 1;
      if (type === 'acTL' && body.length >= 4) return new DataView(body.buffer, body.byteOffset).getUint32(0);
    }
  } catch {
    // A damaged file: the decoder's own message is better
  }
  return 1;
}
