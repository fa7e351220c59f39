import { crc32 } from 'node:zlib';
import { pixelImage } from '@unif2ace/core';

/** A picture whose pixels all differ. */
export function gradient(width: number, height: number) {
  const image = pixelImage(width, height);
  for (let i = 0; i < image.data.length; i++) image.data[i] = (i * 7) % 256;
  return image;
}

/** A chunk of a PNG file with its length and checksum. */
export function pngChunk(type: string, body: Uint8Array): Buffer {
  const out = Buffer.alloc(12 + body.length);
  out.writeUInt32BE(body.length);
  out.write(type, 4, 'latin1');
  out.set(body, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + body.length)), 8 + body.length);
  return out;
}

/** The same PNG with another size in its header. */
export function claimSize(png: Uint8Array, width: number, height: number): Buffer {
  const header = Buffer.from(png.subarray(16, 29));
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  return Buffer.concat([png.subarray(0, 8), pngChunk('IHDR', header), png.subarray(33)]);
}
