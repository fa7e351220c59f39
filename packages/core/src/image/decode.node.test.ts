import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DecodeOptions, decodeImage } from './decode.node.ts';
import { ImageError, pixelImage, psnr } from './pixels.ts';
import { encodePng } from './png.ts';

const [width, height] = [48, 32];
/** Different in every corner, so that no rotation or mirroring goes unseen. */
const picture = pixelImage(width, height);
for (let i = 0; i < width * height; i++) {
  const [x, y] = [(i % width) / width, Math.floor(i / width) / height];
  picture.data.set([40 + 180 * x, 40 + 180 * y, 100 + 80 * x * y], 3 * i);
}
const source = (): Sharp => sharp(Buffer.from(picture.data), { raw: { width, height, channels: 3 } });

async function refusal(input: string | Uint8Array, options: DecodeOptions = {}): Promise<string> {
  try {
    await decodeImage(input, options);
  } catch (error) {
    expect(error).toBeInstanceOf(ImageError);
    const { message } = error as ImageError;
    expect(message).toMatch(/^[^\n]+: expected [^\n]+, got [^\n]+; try [^\n]+$/);
    return message;
  }
  throw new Error('was accepted');
}

describe('odd but good pictures', () => {
  const exact: [string, () => Promise<Buffer>][] = [
    ['PNG', () => source().png().toBuffer()],
    ['interlaced PNG', () => source().png({ progressive: true }).toBuffer()],
    ['16-bit PNG', () => source().toColourspace('rgb16').png().toBuffer()],
    ['TIFF', () => source().tiff({ compression: 'deflate' }).toBuffer()],
    ['lossless WebP', () => source().webp({ lossless: true }).toBuffer()],
    ['opaque RGBA PNG', () => source().ensureAlpha(1).png().toBuffer()],
  ];
  it.each(exact)('%s: the very pixels', async (_, make) => {
    expect(await decodeImage(await make())).toEqual(picture);
  });

  const close: [string, number, () => Promise<Buffer>][] = [
    ['JPEG', 35, () => source().jpeg({ quality: 95 }).toBuffer()],
    ['progressive JPEG', 35, () => source().jpeg({ quality: 95, progressive: true }).toBuffer()],
    ['AVIF', 30, () => source().avif({ quality: 80 }).toBuffer()],
    ['palette PNG', 22, () => source().png({ palette: true, colours: 64 }).toBuffer()],
    ['GIF', 22, () => source().gif().toBuffer()],
    ['CMYK TIFF', 18, () => source().toColourspace('cmyk').tiff().toBuffer()],
    ['CMYK JPEG', 18, () => source().toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer()],
  ];
  it.each(close)('%s: close to the original (over %i dB)', async (_, decibels, make) => {
    const bytes = await make();
    expect(psnr(await decodeImage(bytes), picture)).toBeGreaterThan(decibels);
  });

  it('the CMYK samples are CMYK and the 16-bit sample has 16 bits', async () => {
    expect((await sharp(await close[6]![2]()).metadata()).space).toBe('cmyk');
    expect((await sharp(await close[5]![2]()).metadata()).space).toBe('cmyk');
    expect((await sharp(await exact[2]![1]()).metadata()).depth).toBe('ushort');
  });

  it.each(['png', 'jpeg', 'tiff'] as const)('grey %s: three equal channels', async (format) => {
    const bytes = await source()
      .toColourspace('b-w')
      .toFormat(format, format === 'jpeg' ? { quality: 95 } : {})
      .toBuffer();
    expect((await sharp(bytes).metadata()).channels).toBe(1);
    const { data } = await decodeImage(bytes);
    expect(data.length).toBe(3 * width * height);
    for (let i = 0; i < data.length; i += 3) expect([data[i + 1], data[i + 2]]).toEqual([data[i], data[i]]);
    expect(new Set(data).size).toBeGreaterThan(20);
  });

  it('16-bit grey', async () => {
    const bytes = await source().toColourspace('grey16').png().toBuffer();
    const eight = await source().toColourspace('b-w').png().toBuffer();
    expect(psnr(await decodeImage(bytes), await decodeImage(eight))).toBeGreaterThan(45);
  });

  it.each([8, 16])('%i-bit transparency is laid over the background', async (bits) => {
    const rgba = await source()
      .ensureAlpha(0)
      .toColourspace(bits === 16 ? 'rgb16' : 'srgb')
      .png()
      .toBuffer();
    expect(new Set((await decodeImage(rgba)).data)).toEqual(new Set([128]));
    expect([...(await decodeImage(rgba, { background: [255, 0, 7] })).data.subarray(0, 3)]).toEqual([255, 0, 7]);
    const half = await decodeImage(await source().ensureAlpha(0.5).png().toBuffer());
    for (let i = 0; i < half.data.length; i++)
      expect(Math.abs(half.data[i]! - (picture.data[i]! + 128) / 2)).toBeLessThan(2);
  });

  /** Where upright (x, y) of a w×h picture is stored, by EXIF orientation (Exif 2.3, table 6). */
  const stored: Record<number, (x: number, y: number, w: number, h: number) => [number, number]> = {
    1: (x, y) => [x, y],
    2: (x, y, w) => [w - 1 - x, y],
    3: (x, y, w, h) => [w - 1 - x, h - 1 - y],
    4: (x, y, _, h) => [x, h - 1 - y],
    5: (x, y) => [y, x],
    6: (x, y, w) => [y, w - 1 - x],
    7: (x, y, w, h) => [h - 1 - y, w - 1 - x],
    8: (x, y, _, h) => [h - 1 - y, x],
  };
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('EXIF orientation %i stands upright', async (orientation) => {
    const turned = orientation > 4;
    const raw = pixelImage(turned ? height : width, turned ? width : height);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const [sx, sy] = stored[orientation]!(x, y, width, height);
        raw.data.set(picture.data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3), 3 * (sy * raw.width + sx));
      }
    const saved = sharp(Buffer.from(raw.data), {
      raw: { width: raw.width, height: raw.height, channels: 3 },
    }).withMetadata({ orientation });
    const photo = await decodeImage(await saved.clone().jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer());
    expect([photo.width, photo.height]).toEqual([width, height]);
    expect(psnr(photo, picture)).toBeGreaterThan(40);
  });

  it('a Display P3 picture comes back in sRGB', async () => {
    const square = { width: 4, height: 4, channels: 3, background: { r: 200, g: 60, b: 60 } } as const;
    const wide = await sharp({ create: square }).withIccProfile('p3').png().toBuffer();
    const distance = ([r, g, b]: Uint8Array) => Math.abs(r! - 200) + Math.abs(g! - 60) + Math.abs(b! - 60);
    expect(distance((await decodeImage(wide)).data)).toBeLessThan(6);
    // The same file read without its profile, to see that the profile matters
    expect(
      distance(
        await sharp(wide, { ignoreIcc: true } as object)
          .raw()
          .toBuffer(),
      ),
    ).toBeGreaterThan(20);
  });

  it('the decoded bytes are safe to keep: two decodings do not share memory', async () => {
    const bytes = await source().png().toBuffer();
    const [first, second] = [await decodeImage(bytes), await decodeImage(bytes)];
    first.data.fill(0);
    expect(second).toEqual(picture);
  });
});

describe('refused', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'decode-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('a missing file, a folder, an empty file', async () => {
    expect(await refusal(join(folder, 'none.jpg'))).toContain('got no such file');
    await mkdir(join(folder, 'sub'));
    expect(await refusal(join(folder, 'sub'))).toContain('got a folder');
    await writeFile(join(folder, 'empty.jpg'), '');
    expect(await refusal(join(folder, 'empty.jpg'))).toContain('got an empty file (0 bytes)');
    expect(await refusal(new Uint8Array(), { name: 'upload' })).toMatch(/^upload: /);
  });

  it('a path reads as its bytes do', async () => {
    await writeFile(join(folder, 'good.png'), encodePng(picture));
    expect(await decodeImage(join(folder, 'good.png'))).toEqual(picture);
  });

  it.each([
    ['text', Buffer.from('just a few words\n'), 'a text file'],
    ['SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), 'an SVG drawing'],
    [
      'SVG with prologue',
      Buffer.from('<?xml version="1.0"?>\n<!-- c -->\n<svg width="9" height="9"></svg>'),
      'an SVG drawing',
    ],
    ['HTML', Buffer.from('<!doctype html><p>'), 'an HTML or XML text'],
    ['PDF', Buffer.from('%PDF-1.7\n'), 'a PDF document'],
    ['HEIC', Buffer.from('\0\0\0\x18ftypheic\0\0\0\0', 'latin1'), 'a HEIC photo'],
    ['random bytes', Buffer.from([1, 2, 3, 0, 250, 9, 77]), 'something that is no picture'],
  ])('%s', async (_, bytes, got) => {
    expect(await refusal(bytes)).toContain(`got ${got}`);
  });

  it.each(['jpeg', 'png', 'webp', 'tiff', 'gif', 'avif'] as const)('a %s cut short at any length', async (format) => {
    const noise = pixelImage(160, 120);
    for (let i = 0; i < noise.data.length; i++) noise.data[i] = (128 + 60 * Math.sin(i / 97) + ((i * 31) % 23)) & 255;
    const bytes = await sharp(Buffer.from(noise.data), { raw: { width: 160, height: 120, channels: 3 } })
      .toFormat(format)
      .toBuffer();
    for (const share of [0.005, 0.05, 0.2, 0.5, 0.8, 0.95, 0.98]) {
      const message = await refusal(bytes.subarray(0, Math.ceil(bytes.length * share)));
      expect(message).toMatch(/cut short or damaged|no picture/);
    }
  });

  it('a damaged header', async () => {
    const png = Buffer.from(encodePng(picture));
    png[20] = 99;
    expect(await refusal(png)).toContain('a complete PNG file');
  });

  it('50 megapixels, from the header alone', async () => {
    const big = sharp({ create: { width: 8000, height: 6250, channels: 3, background: 'red' } });
    const jpeg = await big.jpeg({ quality: 1 }).toBuffer();
    expect(await refusal(jpeg)).toContain('expected at most 24 megapixels, got 8000×6250 (50 megapixels)');
    // A header that promises 50 megapixels above no data at all: decoding it would fail, not measure
    expect(await refusal(jpeg.subarray(0, 2000))).toContain('got 8000×6250 (50 megapixels)');
    expect(await refusal(encodePng(pixelImage(40, 30)), { maxPixels: 1199 })).toContain('got 40×30');
    expect((await decodeImage(encodePng(pixelImage(40, 30)), { maxPixels: 1200 })).width).toBe(40);
  });

  it('a file over the byte limit, without reading it', async () => {
    await writeFile(join(folder, 'long.bin'), new Uint8Array(4096));
    expect(await refusal(join(folder, 'long.bin'), { maxBytes: 4095 })).toContain('expected at most 0.0 MiB');
    expect(await refusal(new Uint8Array(4096), { maxBytes: 4095 })).toContain('a smaller copy');
  });

  const frames = (): Sharp => {
    const stack = Buffer.concat([
      Buffer.from(picture.data),
      Buffer.from(picture.data).reverse(),
      Buffer.from(picture.data),
    ]);
    return sharp(stack, { raw: { width, height: 3 * height, channels: 3, pageHeight: height } });
  };
  it.each(['gif', 'webp'] as const)('an animated %s', async (format) => {
    const message = await refusal(
      await frames()
        .toFormat(format, { loop: 0, delay: [50, 50, 50] })
        .toBuffer(),
    );
    expect(message).toMatch(/got an animated (GIF|WebP) of 3 frames; try a still image/);
  });

  it('an animated PNG', async () => {
    const still = Buffer.from(encodePng(picture));
    const at = still.indexOf('IDAT') - 4;
    const chunk = Buffer.alloc(20);
    chunk.writeUInt32BE(8, 0);
    chunk.write('acTL', 4);
    chunk.writeUInt32BE(2, 8);
    chunk.writeUInt32BE(crc(chunk.subarray(4, 16)), 16);
    const animated = Buffer.concat([still.subarray(0, at), chunk, still.subarray(at)]);
    expect(await refusal(animated)).toContain('got an animated PNG of 2 frames');
    chunk.writeUInt32BE(1, 8);
    chunk.writeUInt32BE(crc(chunk.subarray(4, 16)), 16);
    expect(await decodeImage(Buffer.concat([still.subarray(0, at), chunk, still.subarray(at)]))).toEqual(picture);
  });

  it('a PNG whose pixels inflate to less than it promises', async () => {
    const png = Buffer.from(encodePng(pixelImage(64, 64)));
    const at = png.indexOf('IDAT') - 4;
    const body = deflateSync(Buffer.alloc(50));
    const chunk = Buffer.alloc(12 + body.length);
    chunk.writeUInt32BE(body.length, 0);
    chunk.write('IDAT', 4);
    chunk.set(body, 8);
    chunk.writeUInt32BE(crc(chunk.subarray(4, 8 + body.length)), 8 + body.length);
    expect(await refusal(Buffer.concat([png.subarray(0, at), chunk, png.subarray(png.length - 12)]))).toContain(
      'cut short or damaged',
    );
  });
});

function crc(bytes: Uint8Array): number {
  let value = ~0;
  for (const byte of bytes) {
    value ^= byte;
    for (let k = 0; k < 8; k++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return ~value >>> 0;
}
