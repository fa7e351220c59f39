/** How a generated PNG was made, read from the text that it carries; the pixels are not decoded. */
export interface PngRecord {
  prompt: string;
  seed: number;
  /** Sampler settings as they were given: steps, guidance, temperature, index and others. */
  settings: Record<string, unknown>;
  modelHash: string;
}

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const keyword = 'unif2ace';
const maxTextBytes = 1 << 20;

/** Text of a tEXt or an uncompressed iTXt chunk under our keyword. */
function recordText(type: string, body: Uint8Array): string | undefined {
  const zero = body.indexOf(0);
  if (zero !== keyword.length || new TextDecoder('latin1').decode(body.subarray(0, zero)) !== keyword) return undefined;
  if (type === 'tEXt') return new TextDecoder('latin1').decode(body.subarray(zero + 1));
  const language = body.indexOf(0, zero + 3);
  const translated = language < 0 ? -1 : body.indexOf(0, language + 1);
  if (body[zero + 1] !== 0 || translated < 0) return undefined;
  return new TextDecoder().decode(body.subarray(translated + 1));
}

/** The record of a generated PNG; undefined for every other file, a damaged one included. */
export function readPngRecord(png: Uint8Array): PngRecord | undefined {
  if (!signature.every((byte, i) => png[i] === byte)) return undefined;
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  for (let offset = 8; offset + 12 <= png.length; ) {
    const length = view.getUint32(offset);
    const type = String.fromCharCode(...png.subarray(offset + 4, offset + 8));
    const end = offset + 8 + length;
    if (end + 4 > png.length || type === 'IEND') return undefined;
    const text =
      (type === 'tEXt' || type === 'iTXt') && length <= maxTextBytes
        ? recordText(type, png.subarray(offset + 8, end))
        : undefined;
    if (text !== undefined) return parseRecord(text);
    offset = end + 4;
  }
  return undefined;
}

function parseRecord(text: string): PngRecord | undefined {
  let record: Partial<PngRecord> | null;
  try {
    record = JSON.parse(text) as Partial<PngRecord> | null;
  } catch {
    return undefined;
  }
  if (typeof record !== 'object' || record === null) return undefined;
  const { prompt, seed, settings, modelHash } = record;
  if (typeof prompt !== 'string' || !Number.isSafeInteger(seed) || typeof modelHash !== 'string') return undefined;
  return { prompt, seed: seed!, settings: typeof settings === 'object' && settings ? settings : {}, modelHash };
}
