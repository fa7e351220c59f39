import { deflateSync, inflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { type PixelImage, pixelImage } from './pixels.ts';
import { encodePng, generationText, type PngText, pngChunks, readGeneration, readPngText } from './png.ts';

function noisy(width: number, height: number): PixelImage {
  let state = 12345;
  const image = pixelImage(width, height);
  for (let i = 0; i < image.data.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    image.data[i] = i % 7 < 3 ? state >>> 24 : (i * 3) % 256;
  }
  return image;
}

/** Places one chunk, written by hand, before the first IDAT of a picture. */
function withChunk(png: Uint8Array, type: string, body: Uint8Array): Uint8Array {
  const at = Buffer.from(png).indexOf('IDAT') - 4;
  const chunk = Buffer.alloc(12 + body.length);
  chunk.writeUInt32BE(body.length, 0);
  chunk.write(type, 4, 'latin1');
  chunk.set(body, 8);
  let crc = ~0;
  for (const byte of chunk.subarray(4, 8 + body.length)) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  chunk.writeUInt32BE(~crc >>> 0, 8 + body.length);
  return Buffer.concat([png.subarray(0, at), chunk, png.subarray(at)]);
}

describe('encodePng', () => {
  it.each([
    [1, 1],
    [64, 64],
    [17, 31],
  ])('is decoded by libpng to the same %i×%i pixels', async (width, height) => {
    const image = noisy(width, height);
    const { data, info } = await sharp(
      encodePng(image, generationText({ prompt: 'x', seed: 1, settings: {}, modelHash: 'h' })),
    )
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect([info.width, info.height, info.channels]).toEqual([width, height, 3]);
    expect(new Uint8Array(data)).toEqual(image.data);
  });

  it('uses all five row filters, each undone by libpng', async () => {
    const [width, height] = [40, 120];
    const image = pixelImage(width, height);
    const noise = noisy(width, height).data;
    for (let y = 0; y < height; y++)
      for (let i = 0; i < 3 * width; i++) {
        const at = 3 * width * y + i;
        const kinds = [noise[at]! > 200 ? 9 : 0, 5 * i + 91 * y, 3 * (noise[i]! + y), 0, 0];
        const left = i >= 3 ? image.data[at - 3]! : 0;
        const up = y > 0 ? image.data[at - 3 * width]! : 0;
        kinds[3] = ((left + up) >> 1) + (noise[at]! % 5);
        kinds[4] = noise[i]! > 128 ? up + 40 * (noise[at]! & 1) : left + 40 * (noise[at]! & 1);
        image.data[at] = kinds[Math.floor(y / 8) % 5]! & 255;
      }
    const png = encodePng(image);
    const rows = inflateSync([...pngChunks(png)].find(({ type }) => type === 'IDAT')!.body);
    const filters = new Set(Array.from({ length: height }, (_, y) => rows[y * (3 * width + 1)]));
    expect([...filters].sort()).toEqual([0, 1, 2, 3, 4]);
    expect(new Uint8Array(await sharp(png).raw().toBuffer())).toEqual(image.data);
  });

  it('gives the same bytes twice, and compresses a smooth picture', () => {
    expect(encodePng(noisy(40, 40))).toEqual(encodePng(noisy(40, 40)));
    const smooth = pixelImage(
      64,
      64,
      Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => Math.floor(i / 3) % 64),
    );
    expect(encodePng(smooth).length).toBeLessThan(700);
  });
});

describe('text', () => {
  const texts: PngText[] = [
    { keyword: 'Title', text: 'A face' },
    { keyword: 'Latin', text: 'é±ÿ\nnext line' },
    { keyword: 'Any', text: '顔 😀 \ufeff "quoted" {}' },
    { keyword: 'Empty', text: '' },
  ];

  it('comes back as written, in order', () => {
    expect(readPngText(encodePng(noisy(3, 3), texts))).toEqual(texts);
  });

  it('uses tEXt where it can and iTXt where it must', () => {
    const types = [...pngChunks(encodePng(noisy(3, 3), texts))].map(({ type }) => type);
    expect(types).toEqual(['IHDR', 'sRGB', 'tEXt', 'tEXt', 'iTXt', 'tEXt', 'IDAT', 'IEND']);
  });

  it('is found by libvips under the keywords it was given', async () => {
    const { comments } = await sharp(encodePng(noisy(3, 3), texts)).metadata();
    expect(comments?.map(({ keyword }) => keyword)).toEqual(expect.arrayContaining(['Title', 'Latin', 'Any']));
    expect(comments?.find(({ keyword }) => keyword === 'Any')?.text).toBe(texts[2]!.text);
  });

  it('reads compressed entries of other writers, up to a limit', () => {
    const zTXt = (text: string) =>
      Buffer.concat([Buffer.from('Note\0\0', 'latin1'), deflateSync(Buffer.from(text, 'latin1'))]);
    const iTXt = Buffer.concat([
      Buffer.from('Wide\0\x01\0en\0tr\0', 'latin1'),
      deflateSync(Buffer.from('日本'.repeat(5000))),
    ]);
    const png = withChunk(withChunk(encodePng(noisy(2, 2)), 'zTXt', zTXt('dépôt')), 'iTXt', iTXt);
    expect(readPngText(png)).toEqual([
      { keyword: 'Note', text: 'dépôt' },
      { keyword: 'Wide', text: '日本'.repeat(5000) },
    ]);
    const bomb = withChunk(encodePng(noisy(2, 2)), 'zTXt', zTXt('a'.repeat(3e6)));
    expect(() => readPngText(bomb)).toThrow('readPngText: expected at most 1048576 bytes of text');
  });

  it('refuses what PNG cannot hold', () => {
    expect(() => encodePng(noisy(1, 1), [{ keyword: '', text: 'x' }])).toThrow('keyword of 1 to 79');
    expect(() => encodePng(noisy(1, 1), [{ keyword: '顔', text: 'x' }])).toThrow('keyword of 1 to 79');
    expect(() => encodePng(noisy(1, 1), [{ keyword: 'k'.repeat(80), text: 'x' }])).toThrow('keyword of 1 to 79');
    expect(() => encodePng(noisy(1, 1), [{ keyword: 'k', text: 'a\0b' }])).toThrow('got NUL under "k"');
  });

  it('refuses damaged files', () => {
    const png = encodePng(noisy(4, 4), texts);
    expect(() => readPngText(png.subarray(0, png.length - 5))).toThrow('pngChunks: expected');
    const flipped = png.slice();
    flipped[60] = flipped[60]! ^ 1;
    expect(() => readPngText(flipped)).toThrow('checksum');
    expect(() => readPngText(new Uint8Array())).toThrow('expected a PNG file');
  });
});

describe('generation record', () => {
  const record = {
    prompt: 'a "smiling" woman\0 <xmp> 笑 😀 \ud800',
    seed: 2 ** 53 - 1,
    settings: { steps: 12, guidance: 3, nested: { a: [1, null] } },
    modelHash: 'sha256:abc',
  };

  it('comes back, whatever the prompt holds', () => {
    expect(readGeneration(encodePng(noisy(2, 2), generationText(record)))).toEqual(record);
    expect(readGeneration(encodePng(noisy(2, 2)))).toBeUndefined();
  });

  it('carries the IPTC digital source type where libvips looks for XMP', async () => {
    const { xmpAsString } = await sharp(encodePng(noisy(2, 2), generationText(record))).metadata();
    expect(xmpAsString).toContain(
      'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"',
    );
    expect(xmpAsString).toMatch(/^<\?xpacket begin="\ufeff"/);
  });

  it('refuses a record that is something else', () => {
    for (const text of ['{', 'null', '{"prompt":1}', '[]'])
      expect(() => readGeneration(encodePng(noisy(1, 1), [{ keyword: 'unif2ace', text }]))).toThrow(
        'readGeneration: expected a record',
      );
  });
});
