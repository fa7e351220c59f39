import { bfloatToNumber, float8ToNumber, halfToNumber, numberToHalf } from './float-formats.ts';

export const bytesPerElement = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;
export type StoredDType = keyof typeof bytesPerElement;

export interface TensorEntry {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** Byte range [begin, end) after the header. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Where the data starts in the file. */
  readonly dataOffset: number;
}

export interface StoredTensor {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A file that is not what the safetensors format says. One line: what, expected, got, what to try. */
export class SafetensorsError extends Error {
  override name = 'SafetensorsError';
  constructor(what: string, expected: string, got: string) {
    super(`safetensors: ${what}: expected ${expected}, got ${got}; try to download or export the file again`);
  }
}

const maxHeaderBytes = 100_000_000;

/** Length of the JSON header, from the first 8 bytes. @throws SafetensorsError when it cannot be true. */
export function headerLength(firstBytes: Uint8Array, fileBytes: number): number {
  if (fileBytes < 8 || firstBytes.length < 8)
    throw new SafetensorsError('header', 'at least 8 bytes', `a file of ${fileBytes} bytes`);
  const length = new DataView(firstBytes.buffer, firstBytes.byteOffset).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) throw new SafetensorsError('header', `at most ${maxHeaderBytes} bytes`, `a stated length of ${length}`);
  if (8n + length > BigInt(fileBytes))
    throw new SafetensorsError('header', `a header within the file's ${fileBytes} bytes`, `a stated length of ${length}`);
  return Number(length);
}

/** Checks the header against the file's size: types, shapes, ranges without overlap, gap or overrun. */
export function parseHeader(json: Uint8Array, fileBytes: number): SafetensorsHeader {
  const text = new TextDecoder().decode(json);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new SafetensorsError('header', 'JSON', (error as Error).message);
  }
  if (!isRecord(parsed)) throw new SafetensorsError('header', 'a JSON object', text.slice(0, 40));
  const { __metadata__: metadata = {}, ...entries } = parsed;
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== 'string'))
    throw new SafetensorsError('__metadata__', 'strings', JSON.stringify(metadata).slice(0, 40));
  const dataOffset = 8 + json.length;
  const tensors = new Map(Object.entries(entries).map(([name, entry]) => [name, parseEntry(name, entry)]));
  checkRanges(tensors, fileBytes - dataOffset);
  return { metadata: metadata as Record<string, string>, tensors, dataOffset };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function parseEntry(name: string, entry: unknown): TensorEntry {
  if (!isRecord(entry)) throw new SafetensorsError(name, 'an object with dtype, shape and data_offsets', JSON.stringify(entry));
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string' || !(dtype in bytesPerElement))
    throw new SafetensorsError(`${name}.dtype`, Object.keys(bytesPerElement).join(', '), String(dtype));
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw new SafetensorsError(`${name}.shape`, 'non-negative integers', JSON.stringify(shape));
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw new SafetensorsError(`${name}.data_offsets`, 'two byte positions', JSON.stringify(offsets));
  const [begin, end] = offsets as [number, number];
  const bytes = (shape as number[]).reduce((a, b) => a * b, 1) * bytesPerElement[dtype as StoredDType];
  if (end - begin !== bytes)
    throw new SafetensorsError(`${name}.data_offsets`, `${bytes} bytes for ${dtype}[${shape.join(', ')}]`, `${begin} to ${end}`);
  return { dtype: dtype as StoredDType, shape: shape as number[], begin, end };
}

function checkRanges(tensors: ReadonlyMap<string, TensorEntry>, dataBytes: number): void {
  const sorted = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const [name, { begin, end }] of sorted) {
    if (begin !== at)
      throw new SafetensorsError(`${name}.data_offsets`, `data from byte ${at} on`, `${begin} (${begin < at ? 'overlap' : 'gap'})`);
    at = end;
  }
  if (at !== dataBytes)
    throw new SafetensorsError('data', `${at} bytes`, `${dataBytes}${dataBytes < at ? ' (the file is truncated)' : ''}`);
}

export interface SafetensorsFile {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Reads a whole file; tensors are views of `bytes`. @throws SafetensorsError */
export function readSafetensors(bytes: Uint8Array): SafetensorsFile {
  const length = headerLength(bytes, bytes.length);
  const header = parseHeader(bytes.subarray(8, 8 + length), bytes.length);
  const tensors = new Map(
    [...header.tensors].map(([name, { dtype, shape, begin, end }]) => [
      name,
      { dtype, shape, data: bytes.subarray(header.dataOffset + begin, header.dataOffset + end) },
    ]),
  );
  return { metadata: header.metadata, tensors };
}

/** Values as float32 (integers and wider floats are rounded to it). */
export function decodeFloat32({ dtype, data }: StoredTensor): Float32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const width = bytesPerElement[dtype];
  const read: Record<StoredDType, (offset: number) => number> = {
    F64: (o) => view.getFloat64(o, true),
    F32: (o) => view.getFloat32(o, true),
    F16: (o) => halfToNumber(view.getUint16(o, true)),
    BF16: (o) => bfloatToNumber(view.getUint16(o, true)),
    F8_E4M3: (o) => float8ToNumber(view.getUint8(o)),
    I64: (o) => Number(view.getBigInt64(o, true)),
    I32: (o) => view.getInt32(o, true),
    I16: (o) => view.getInt16(o, true),
    I8: (o) => view.getInt8(o),
    U8: (o) => view.getUint8(o),
    BOOL: (o) => view.getUint8(o),
  };
  const out = new Float32Array(data.length / width);
  if (dtype === 'F32' && data.byteOffset % 4 === 0) out.set(new Float32Array(data.buffer, data.byteOffset, out.length));
  else for (let i = 0; i < out.length; i++) out[i] = read[dtype](i * width);
  return out;
}

/** Integer values as numbers. @throws SafetensorsError for a floating type. */
export function decodeIntegers(tensor: StoredTensor): number[] {
  const { dtype, data } = tensor;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (dtype === 'I64') return Array.from({ length: data.length / 8 }, (_, i) => Number(view.getBigInt64(i * 8, true)));
  if (dtype.startsWith('F') || dtype === 'BF16') throw new SafetensorsError('tensor', 'an integer type', dtype);
  return Array.from(decodeFloat32(tensor));
}

export interface TensorToStore {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: 'F32' | 'F16' | 'I32' | 'I64' | 'U8';
  readonly data: Float32Array | Int32Array | BigInt64Array | Uint8Array;
}

/** Bytes of one tensor in its stored type (float32 values are rounded to F16 where asked). */
export function encodeTensor({ name, shape, dtype, data }: TensorToStore): Uint8Array {
  const count = shape.reduce((a, b) => a * b, 1);
  if (data.length !== count) throw new Error(`safetensors: ${name} [${shape.join(', ')}] needs ${count} values, got ${data.length}`);
  if (dtype === 'F16') {
    const halves = new Uint16Array(count);
    for (let i = 0; i < count; i++) halves[i] = numberToHalf(Number(data[i]));
    return new Uint8Array(halves.buffer);
  }
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Header bytes (length and JSON, padded to 8) for tensors in the order given. */
export function encodeHeader(tensors: readonly TensorToStore[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const header: Record<string, unknown> = Object.keys(metadata).length > 0 ? { __metadata__: metadata } : {};
  let begin = 0;
  for (const { name, dtype, shape } of tensors) {
    if (name in header) throw new Error(`safetensors: two tensors are named ${name}`);
    const end = begin + shape.reduce((a, b) => a * b, 1) * bytesPerElement[dtype];
    header[name] = { dtype, shape, data_offsets: [begin, end] };
    begin = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(padded.buffer).setBigUint64(0, BigInt(padded.length - 8), true);
  padded.set(json, 8);
  return padded;
}

/** A whole file. Tensors are stored by descending alignment, then by name: the same input gives the same bytes. */
export function encodeSafetensors(tensors: readonly TensorToStore[], metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const sorted = sortForStorage(tensors);
  const parts = [encodeHeader(sorted, metadata), ...sorted.map(encodeTensor)];
  const bytes = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Order of storage: wide elements first, so that every tensor is aligned, then by name. */
export function sortForStorage(tensors: readonly TensorToStore[]): TensorToStore[] {
  return [...tensors].sort(
    (a, b) => bytesPerElement[b.dtype] - bytesPerElement[a.dtype] || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
}
