import { ImageError, type PixelImage, pixelImage } from '@unif2ace/core';
import { decodeReduced, type ReducedImage } from '@unif2ace/core/node';
import { dataUrlBytes } from './data-url.ts';
import { ApiError, invalid } from './errors.ts';
import type { Picture } from './schemas/chat.ts';
import { limits } from './schemas/common.ts';

/** Longer side to which photos are reduced while they are decoded; faces are looked at in far fewer pixels. */
const longestSide = 1280;
const maxPixels = 40e6;

export interface DecodePhotoOptions {
  /** The field it came in, for messages. */
  param: string;
  /** What transparent pixels are laid over. Default mid grey. */
  background?: readonly [number, number, number];
}

/** Bytes of a picture in a document: of a data URL, or as they are where it was long. @throws ApiError */
export function pictureBytes(picture: Picture, param: string): Uint8Array {
  return typeof picture === 'string' ? dataUrlBytes(picture, param) : picture;
}

/** Decodes a photo to at most 1,280 pixels a side. @throws ApiError */
export async function decodePhoto(bytes: Uint8Array, options: DecodePhotoOptions): Promise<ReducedImage> {
  const { param, background } = options;
  if (bytes.length > limits.photoBytes)
    throw invalid(param, `expected at most ${limits.photoBytes / 2 ** 20} MiB, got more`, 'invalid_image');
  try {
    return await decodeReduced(bytes, longestSide, { name: param, maxPixels, ...(background && { background }) });
  } catch (error) {
    if (error instanceof ImageError) throw new ApiError(400, 'invalid_image', error.message, { param });
    throw error;
  }
}

/**
 * What a mask chooses, white: its transparent part, as in the OpenAI API, or, where nothing is transparent, its light part.
 * @throws ApiError unless it has the size of the photo.
 */
export async function decodeMask(bytes: Uint8Array, photo: Pick<ReducedImage, 'upright'>): Promise<PixelImage> {
  const onWhite = await decodePhoto(bytes, { param: 'mask', background: [255, 255, 255] });
  const onBlack = await decodePhoto(bytes, { param: 'mask', background: [0, 0, 0] });
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
