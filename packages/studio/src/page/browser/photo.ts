import { ImageError, type PixelImage, pixelImage } from '@unif2ace/core';

/** As on the server: faces are looked at in far fewer pixels. */
const longestSide = 1280;

export interface DecodedPhoto {
  photo: PixelImage;
  /** Size of the whole upright picture. */
  width: number;
  height: number;
}

/**
 * A picture's file to upright pixels, at most 1,280 a side, transparent parts over mid grey; the browser decodes it.
 * @throws ImageError for a file that is no picture.
 */
export async function decodePhoto(file: Blob): Promise<DecodedPhoto> {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new ImageError('image', 'a JPEG, PNG, WebP, GIF or AVIF picture', 'another file', 'another photo');
  });
  const { width, height } = bitmap;
  const scale = Math.min(1, longestSide / Math.max(width, height));
  const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const context = new OffscreenCanvas(w, h).getContext('2d', { willReadFrequently: true })!;
  context.fillStyle = '#808080';
  context.fillRect(0, 0, w, h);
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, w, h);
  bitmap.close();
  const { data } = context.getImageData(0, 0, w, h);
  const photo = pixelImage(w, h);
  for (let pixel = 0; pixel < w * h; pixel++)
    for (let channel = 0; channel < 3; channel++) photo.data[3 * pixel + channel] = data[4 * pixel + channel]!;
  return { photo, width, height };
}
