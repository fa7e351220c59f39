import { ImageError, type PixelImage, pixelImage } from '@unif2ace/core';
import { decodeReduced, type ReducedImage } from '@unif2ace/core/node';
import { ApiError, invalid } from './errors.ts';
import { limits } from './schemas/common.ts';

/** Longer side to which photos are reduced while they are decoded; faces are looked at in far fewer pixels. */
const longestSide = 1280;
const maxPixels = 40e6;

/** Work that takes much memory, a few at a time. */
export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number) {
    this.#free = places;
  }

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

const declared: Record<string, RegExp> = {
  'image/jpeg': /^\xff\xd8\xff/,
  'image/jpg': /^\xff\xd8\xff/,
  'image/png': /^\x89PNG/,
  'image/webp': /^RIFF....WEBP/s,
  'image/gif': /^GIF8/,
  'image/tiff': /^(?:II|MM)/,
  'image/avif': /^....ftypavi/s,
};

/**
 * Null for anything but base64. The decoder passes over other characters, so that too few bytes betray them: a pattern over 14 MiB
 * would block for 90 ms.
 */
function base64Bytes(text: string): Buffer | null {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const characters = text.length - padding;
  // the decoder takes the alphabet of addresses too
  if (characters % 4 === 1 || text.includes('-') || text.includes('_')) return null;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === Math.floor((characters * 3) / 4) ? bytes : null;
}

/** Bytes of a data URL, which must be what its type says. @throws ApiError */
export function dataUrlBytes(url: string, param: string): Uint8Array {
  if (!url.startsWith('data:')) {
    const other = /^[a-z][a-z0-9+.-]*:/i.test(url) ? 'another address' : 'something else';
    throw invalid(
      param,
      `expected a data URL (data:image/png;base64,…), got ${other}: the server fetches nothing`,
      'url_refused',
    );
  }
  const comma = url.indexOf(',');
  const head = comma < 0 ? null : /^data:([a-z]+\/[a-z0-9.+-]+)?;base64$/i.exec(url.slice(0, Math.min(comma, 100)));
  if (!head) throw invalid(param, 'expected data:image/…;base64,… , got a data URL of another form', 'invalid_image');
  const type = (head[1] ?? '').toLowerCase();
  const shape = declared[type];
  if (!shape)
    throw invalid(
      param,
      `expected one of ${Object.keys(declared).join(', ')}, got ${type || 'no type'}`,
      'invalid_image',
    );
  const text = url.slice(comma + 1);
  const bytes = base64Bytes(text);
  if (!bytes) throw invalid(param, 'expected base64, got other characters', 'invalid_image');
  if (!shape.test(bytes.subarray(0, 16).toString('latin1')))
    throw invalid(param, `expected the ${type} that its type says, got another file`, 'invalid_image');
  return bytes;
}

/** Decodes a photo to at most 1,280 pixels a side, off this thread. @throws ApiError */
export async function decodePhoto(
  gate: Gate,
  bytes: Uint8Array,
  param: string,
  background?: readonly [number, number, number],
): Promise<ReducedImage> {
  if (bytes.length > limits.photoBytes)
    throw invalid(param, `expected at most ${limits.photoBytes / 2 ** 20} MiB, got more`, 'invalid_image');
  try {
    const options = { name: param, maxPixels, ...(background && { background }) };
    return await gate.pass(() => decodeReduced(bytes, longestSide, options));
  } catch (error) {
    if (error instanceof ImageError) throw new ApiError(400, 'invalid_image', error.message, { param });
    throw error;
  }
}

/**
 * What a mask chooses, white: its transparent part, as in the OpenAI API, or, where nothing is transparent, its light part.
 * @throws ApiError unless it has the size of the photo.
 */
export async function decodeMask(gate: Gate, bytes: Uint8Array, photo: ReducedImage): Promise<PixelImage> {
  const onWhite = await decodePhoto(gate, bytes, 'mask', [255, 255, 255]);
  const onBlack = await decodePhoto(gate, bytes, 'mask', [0, 0, 0]);
  const [wanted, got] = [photo, onWhite].map(({ upright }) => `${upright.width}×${upright.height}`);
  if (wanted !== got)
    throw invalid('mask', `expected a picture of ${wanted}, as the photo, got ${got}`, 'invalid_image');
  const clear = pixelImage(onWhite.width, onWhite.height);
  let transparent = false;
  for (let i = 0; i < clear.data.length; i++) {
    clear.data[i] = Math.max(0, onWhite.data[i]! - onBlack.data[i]!);
    transparent ||= clear.data[i]! > 127;
  }
  return transparent ? clear : pixelImage(onWhite.width, onWhite.height, onWhite.data);
}
