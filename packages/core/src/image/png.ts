import { Inflate, zlibSync } from 'fflate';
import { ImageError, type PixelImage } from './pixels.ts';

/** One text entry of a PNG file. */
export interface PngText {
  /** 1 to 79 Latin-1 characters. */
  keyword: string;
  text: string;
}

export interface GenerationRecord {
  /** The words the picture was made from. */
  prompt: string;
  seed: number;
  /** Sampler settings, as given to the model. */
  settings: Record<string, unknown>;
  /** Hash of the weights. */
  modelHash: string;
}

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const recordKeyword = 'unif2ace';
const xmpKeyword = 'XML:com.adobe.xmp';
const sourceType = 'http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia';
const maxTextBytes = 1 << 20;

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = crcTable[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function concat(parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

function chunk(type: string, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + body.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  for (let i = 0; i < 4; i++) out[4 + i] = type.charCodeAt(i);
  out.set(body, 8);
  view.setUint32(8 + body.length, crc32(out.subarray(4, 8 + body.length)));
  return out;
}

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));

function textChunk({ keyword, text }: PngText): Uint8Array {
  const good = /^[\x21-\x7e\xa1-\xff](?:[\x20-\x7e\xa1-\xff]{0,77}[\x21-\x7e\xa1-\xff])?$/.test(keyword);
  if (!good)
    throw new ImageError(
      'encodePng',
      'a keyword of 1 to 79 Latin-1 characters',
      JSON.stringify(keyword),
      'a shorter name',
    );
  if (text.includes('\0'))
    throw new ImageError('encodePng', 'text without NUL', `NUL under "${keyword}"`, 'escaping it, e.g. as JSON');
  // XMP is defined for iTXt only; everything else takes the simplest chunk that can hold it.
  if (keyword !== xmpKeyword && /^[\n\x20-\x7e\xa1-\xff]*$/.test(text))
    return chunk('tEXt', concat([latin1(keyword), [0], latin1(text)]));
  return chunk('iTXt', concat([latin1(keyword), [0, 0, 0, 0, 0], new TextEncoder().encode(text)]));
}

const paeth = (left: number, up: number, corner: number): number => {
  const [toLeft, toUp, toCorner] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  return toLeft <= toUp && toLeft <= toCorner ? left : toUp <= toCorner ? up : corner;
};

/** Rows with the filter that leaves the smallest sum of absolute differences (the PNG specification's heuristic). */
function filterRows(image: PixelImage): Uint8Array {
  const stride = 3 * image.width;
  const out = new Uint8Array((stride + 1) * image.height);
  const candidates = Array.from({ length: 5 }, () => new Uint8Array(stride));
  for (let y = 0; y < image.height; y++) {
    const sums = [0, 0, 0, 0, 0];
    for (let i = 0; i < stride; i++) {
      const at = y * stride + i;
      const value = image.data[at]!;
      const left = i >= 3 ? image.data[at - 3]! : 0;
      const up = y > 0 ? image.data[at - stride]! : 0;
      const corner = i >= 3 && y > 0 ? image.data[at - stride - 3]! : 0;
      const predictions = [0, left, up, (left + up) >> 1, paeth(left, up, corner)];
      for (let filter = 0; filter < 5; filter++) {
        const rest = (value - predictions[filter]!) & 0xff;
        candidates[filter]![i] = rest;
        sums[filter]! += rest < 128 ? rest : 256 - rest;
      }
    }
    const best = sums.indexOf(Math.min(...sums));
    out[y * (stride + 1)] = best;
    out.set(candidates[best]!, y * (stride + 1) + 1);
  }
  return out;
}

/**
 * 8-bit RGB PNG. The same picture and text give the same bytes on every platform (no time stamp, own deflate).
 * @throws ImageError for a keyword or text that PNG cannot hold.
 */
export function encodePng(image: PixelImage, text: readonly PngText[] = []): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, image.width);
  view.setUint32(4, image.height);
  header.set([8, 2, 0, 0, 0], 8);
  return concat([
    signature,
    chunk('IHDR', header),
    chunk('sRGB', Uint8Array.of(0)),
    ...text.map(textChunk),
    chunk('IDAT', zlibSync(filterRows(image), { level: 6 })),
    chunk('IEND', new Uint8Array()),
  ]);
}

/**
 * Text entries that say how a picture was made: an XMP packet with the IPTC digital source type
 * "trainedAlgorithmicMedia", and the generation record as JSON under the keyword "unif2ace".
 */
export function generationText(record: GenerationRecord): PngText[] {
  const xmp =
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>' +
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">' +
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" ' +
    `Iptc4xmpExt:DigitalSourceType="${sourceType}"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>`;
  const { prompt, seed, settings, modelHash } = record;
  return [
    { keyword: xmpKeyword, text: xmp },
    { keyword: recordKeyword, text: JSON.stringify({ prompt, seed, settings, modelHash }) },
  ];
}

/** The record that {@link generationText} wrote, or undefined for any other PNG. @throws ImageError on a damaged file. */
export function readGeneration(png: Uint8Array): GenerationRecord | undefined {
  const entry = readPngText(png).find(({ keyword }) => keyword === recordKeyword);
  if (!entry) return undefined;
  const damaged = () =>
    new ImageError(
      'readGeneration',
      'a record of prompt, seed, settings and model hash',
      'something else',
      'the original file',
    );
  let record: Partial<GenerationRecord> | null;
  try {
    record = JSON.parse(entry.text) as Partial<GenerationRecord> | null;
  } catch {
    throw damaged();
  }
  if (typeof record?.prompt !== 'string' || typeof record.seed !== 'number' || typeof record.modelHash !== 'string')
    throw damaged();
  return { prompt: record.prompt, seed: record.seed, settings: record.settings ?? {}, modelHash: record.modelHash };
}

export interface PngChunk {
  type: string;
  body: Uint8Array;
}

/** Chunks in file order, each checked against its length and CRC. @throws ImageError on a damaged or foreign file. */
export function* pngChunks(png: Uint8Array): Generator<PngChunk> {
  const fail = (expected: string, got: string) => new ImageError('pngChunks', expected, got, 'the original PNG file');
  if (!signature.every((byte, i) => png[i] === byte)) throw fail('a PNG file', 'something else');
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  for (let offset = 8; ; ) {
    if (offset + 12 > png.length) throw fail('a closing IEND chunk', `the end of the file at byte ${png.length}`);
    const length = view.getUint32(offset);
    const end = offset + 8 + length;
    const type = String.fromCharCode(...png.subarray(offset + 4, offset + 8));
    if (end + 4 > png.length) throw fail(`${length} bytes of ${type}`, `${png.length - offset - 8}`);
    if (crc32(png.subarray(offset + 4, end)) !== view.getUint32(end)) throw fail(`the checksum of ${type}`, 'another');
    yield { type, body: png.subarray(offset + 8, end) };
    if (type === 'IEND') return;
    offset = end + 4;
  }
}

/** Stops at a limit, so that a small compressed text cannot fill the memory. */
function inflateText(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  let total = 0;
  const inflate = new Inflate((part) => {
    total += part.length;
    if (total > maxTextBytes)
      throw new ImageError('readPngText', `at most ${maxTextBytes} bytes of text`, 'more', 'a PNG without that text');
    parts.push(part);
  });
  // zlib header of two bytes and a trailing checksum of four, both outside the raw deflate stream
  const raw = bytes.subarray(2, Math.max(2, bytes.length - 4));
  for (let offset = 0; offset < raw.length; offset += 4096)
    inflate.push(raw.subarray(offset, offset + 4096), offset + 4096 >= raw.length);
  return concat(parts);
}

/** All tEXt, zTXt and iTXt entries in file order. @throws ImageError on a damaged file or over 1 MiB of inflated text. */
export function readPngText(png: Uint8Array): PngText[] {
  const entries: PngText[] = [];
  for (const { type, body } of pngChunks(png)) {
    if (type !== 'tEXt' && type !== 'zTXt' && type !== 'iTXt') continue;
    const zero = body.indexOf(0);
    if (zero < 0) throw new ImageError('readPngText', `a keyword in ${type}`, 'none', 'the original PNG file');
    const keyword = fromLatin1(body.subarray(0, zero));
    if (type === 'tEXt') entries.push({ keyword, text: fromLatin1(body.subarray(zero + 1)) });
    else if (type === 'zTXt') entries.push({ keyword, text: fromLatin1(inflateText(body.subarray(zero + 2))) });
    else {
      const language = body.indexOf(0, zero + 3);
      const translated = language < 0 ? -1 : body.indexOf(0, language + 1);
      if (translated < 0)
        throw new ImageError('readPngText', 'a complete iTXt chunk', 'a short one', 'the original PNG file');
      const rest = body.subarray(translated + 1);
      const utf8 = body[zero + 1] === 1 ? inflateText(rest) : rest;
      entries.push({ keyword, text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(utf8) });
    }
  }
  return entries;
}

function fromLatin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
