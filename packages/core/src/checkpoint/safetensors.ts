import {
  bfloatToNumber,
  float8ToNumber,
  float8WideToNumber,
  halfToNumber,
  numberToBfloat,
  numberToHalf,
} from './float-formats.ts';

/** Stored types, in the order of the original writer: it stores the last ones first, so that every tensor is aligned. */
export const bytesPerElement = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;
export type StoredDType = keyof typeof bytesPerElement;

const dtypes = Object.keys(bytesPerElement) as StoredDType[];

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

/** A file or tensor that is not what the safetensors format says. One line: what, expected, got, what to try. */
export class SafetensorsError extends Error {
  override name = 'SafetensorsError';
  readonly what: string;
  readonly expected: string;
  readonly got: string;
  readonly hint: string;
  constructor(what: string, expected: string, got: string, hint = 'try to download or export the file again') {
    // names come from the file: they must not break the line
    const line = `safetensors: ${what}: expected ${expected}, got ${got}; ${hint}`;
    super(line.replace(/\p{Cc}+/gu, ' '));
    this.what = what;
    this.expected = expected;
    this.got = got;
    this.hint = hint;
  }

  /** The same error, naming the file. */
  inFile(path: string): SafetensorsError {
    return new SafetensorsError(`${path}: ${this.what}`, this.expected, this.got, this.hint);
  }
}

const maxHeaderBytes = 100_000_000;

/** Length of the JSON header, from the first 8 bytes. @throws SafetensorsError when it cannot be true. */
export function headerLength(firstBytes: Uint8Array, fileBytes: number): number {
  if (fileBytes < 8 || firstBytes.length < 8)
    throw new SafetensorsError('header', 'at least 8 bytes', `a file of ${fileBytes} bytes`);
  const length = new DataView(firstBytes.buffer, firstBytes.byteOffset).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes))
    throw new SafetensorsError('header', `at most ${maxHeaderBytes} bytes`, `a stated length of ${length}`);
  if (8n + length > BigInt(fileBytes))
    throw new SafetensorsError(
      'header',
      `a header within the file's ${fileBytes} bytes`,
      `a stated length of ${length}`,
    );
  return Number(length);
}

/** Checks the header against the file's size: keys, types, shapes, ranges without overlap, gap or overrun. @throws SafetensorsError */
export function parseHeader(json: Uint8Array, fileBytes: number): SafetensorsHeader {
  if (json[0] !== 0x7b)
    throw new SafetensorsError(
      'header',
      'JSON that begins with {',
      excerpt(new TextDecoder().decode(json.subarray(0, 40))),
    );
  let text: string;
  let parsed: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(json);
    parsed = JSON.parse(text);
  } catch (error) {
    throw new SafetensorsError('header', 'JSON in UTF-8', excerpt((error as Error).message));
  }
  checkUniqueKeys(text);
  const { __metadata__: metadata = {}, ...entries } = parsed as Record<string, unknown>;
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== 'string'))
    throw new SafetensorsError('__metadata__', 'an object of strings', excerpt(JSON.stringify(metadata)));
  const dataOffset = 8 + json.length;
  const tensors = new Map(Object.entries(entries).map(([name, entry]) => [name, parseEntry(name, entry)]));
  checkRanges(tensors, fileBytes - dataOffset);
  return { metadata: metadata as Record<string, string>, tensors, dataOffset };
}

function excerpt(text: string | undefined): string {
  const whole = text ?? 'nothing';
  return whole.length > 80 ? `${whole.slice(0, 80)}…` : whole;
}

/** JSON.parse keeps the last of equal keys without a word. `text` is valid JSON. */
function checkUniqueKeys(text: string): void {
  const open: Set<string>[] = [];
  for (const [token, literal, colon] of text.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}]/g)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (colon) {
      const key = JSON.parse(literal!) as string;
      const keys = open.at(-1)!;
      if (keys.has(key)) throw new SafetensorsError('header', 'each key once', `two of ${excerpt(key)}`);
      keys.add(key);
    }
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function sizeOfShape(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

function parseEntry(name: string, entry: unknown): TensorEntry {
  const what = excerpt(name);
  if (!isRecord(entry))
    throw new SafetensorsError(what, 'an object with dtype, shape and data_offsets', excerpt(JSON.stringify(entry)));
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!dtypes.includes(dtype as StoredDType))
    throw new SafetensorsError(`${what}.dtype`, `one of ${dtypes.join(', ')}`, excerpt(JSON.stringify(dtype)));
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw new SafetensorsError(`${what}.shape`, 'non-negative integers', excerpt(JSON.stringify(shape)));
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw new SafetensorsError(`${what}.data_offsets`, 'two byte positions', excerpt(JSON.stringify(offsets)));
  const [begin, end] = offsets as [number, number];
  const bytes = sizeOfShape(shape as number[]) * bytesPerElement[dtype as StoredDType];
  if (end - begin !== bytes)
    throw new SafetensorsError(
      `${what}.data_offsets`,
      `${bytes} bytes for ${dtype}[${excerpt(shape.join(', '))}]`,
      `${begin} to ${end}`,
    );
  return { dtype: dtype as StoredDType, shape: shape as number[], begin, end };
}

function checkRanges(tensors: ReadonlyMap<string, TensorEntry>, dataBytes: number): void {
  const sorted = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const [name, { begin, end }] of sorted) {
    if (begin !== at)
      throw new SafetensorsError(
        `${excerpt(name)}.data_offsets`,
        `data from byte ${at} on`,
        `${begin} (${begin < at ? 'overlap' : 'gap'})`,
      );
    at = end;
  }
  if (at !== dataBytes)
    throw new SafetensorsError(
      'data',
      `${at} bytes`,
      `${dataBytes} (the file is ${dataBytes < at ? 'truncated' : 'too long'})`,
    );
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

type Elements =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** Elements in their stored form: floats narrower than 32 bits as their bits. Stored bytes are little-endian, as all our platforms. */
function elementsOf({ dtype, data }: StoredTensor): Elements {
  const width = bytesPerElement[dtype];
  // typed arrays need aligned bytes, a view into a file may begin anywhere; not slice(): a Buffer's does not copy
  const { buffer, byteOffset } = data.byteOffset % width === 0 ? data : new Uint8Array(data);
  const length = data.length / width;
  switch (dtype) {
    case 'F64':
      return new Float64Array(buffer, byteOffset, length);
    case 'F32':
      return new Float32Array(buffer, byteOffset, length);
    case 'I64':
      return new BigInt64Array(buffer, byteOffset, length);
    case 'U64':
      return new BigUint64Array(buffer, byteOffset, length);
    case 'I32':
      return new Int32Array(buffer, byteOffset, length);
    case 'U32':
      return new Uint32Array(buffer, byteOffset, length);
    case 'I16':
      return new Int16Array(buffer, byteOffset, length);
    case 'U16':
    case 'F16':
    case 'BF16':
      return new Uint16Array(buffer, byteOffset, length);
    case 'I8':
      return new Int8Array(buffer, byteOffset, length);
    default:
      return new Uint8Array(buffer, byteOffset, length);
  }
}

const fromBits: Partial<Record<StoredDType, (bits: number) => number>> = {
  F16: halfToNumber,
  BF16: bfloatToNumber,
  F8_E4M3: float8ToNumber,
  F8_E5M2: float8WideToNumber,
};
const valueTables = new Map<StoredDType, Float32Array>();

/** Value of every bit pattern of a narrow float: decoding by table is an order faster than by arithmetic. */
function valueTable(dtype: StoredDType): Float32Array | undefined {
  const value = fromBits[dtype];
  if (!value) return undefined;
  const known = valueTables.get(dtype);
  if (known) return known;
  const table = Float32Array.from({ length: 256 ** bytesPerElement[dtype] }, (_, bits) => value(bits));
  valueTables.set(dtype, table);
  return table;
}

/** Values as float32, in memory of their own (integers and wider floats are rounded to it). */
export function decodeFloat32(tensor: StoredTensor): Float32Array {
  const elements = elementsOf(tensor);
  if (elements instanceof BigInt64Array || elements instanceof BigUint64Array)
    return Float32Array.from(elements, Number);
  const table = valueTable(tensor.dtype);
  if (!table) return new Float32Array(elements);
  const out = new Float32Array(elements.length);
  for (let i = 0; i < out.length; i++) out[i] = table[elements[i]!]!;
  return out;
}

/** Integer values as numbers. @throws SafetensorsError for a floating type, or a value that a number cannot hold. */
export function decodeIntegers(tensor: StoredTensor): number[] {
  checkInteger(tensor.dtype);
  return Array.from(elementsOf(tensor) as ArrayLike<number | bigint>, (value) => {
    const number = Number(value);
    if (!Number.isSafeInteger(number))
      throw new SafetensorsError('tensor', 'integers below 2^53', `${value}`, 'try decodeBigIntegers');
    return number;
  });
}

/** Integer values with all their bits. @throws SafetensorsError for a floating type, or a U64 value of 2^63 and more. */
export function decodeBigIntegers(tensor: StoredTensor): BigInt64Array {
  checkInteger(tensor.dtype);
  const values = Array.from(elementsOf(tensor) as ArrayLike<number | bigint>, BigInt);
  const tooLarge = values.find((value) => value >= 2n ** 63n);
  if (tooLarge !== undefined)
    throw new SafetensorsError('tensor', 'integers below 2^63', `${tooLarge}`, 'try to store the tensor as I64');
  return BigInt64Array.from(values);
}

function checkInteger(dtype: StoredDType): void {
  if (dtype.startsWith('F') || dtype === 'BF16')
    throw new SafetensorsError('tensor', 'an integer type', dtype, 'try decodeFloat32');
}

export interface TensorToStore {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: StoredDType;
  /** Values (float32 for F32, F16, BF16; else the array of that type), or, as a Uint8Array, the stored bytes of any type. */
  readonly data: Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array;
}

/** Bytes of one tensor in its stored type; F16 and BF16 are rounded to nearest, ties to even. @throws SafetensorsError */
export function encodeTensor({ name, shape, dtype, data }: TensorToStore): Uint8Array {
  const count = sizeOfShape(shape);
  const units = data instanceof Uint8Array ? count * bytesPerElement[dtype] : count;
  if (data.length !== units)
    throw new SafetensorsError(
      `${name} ${dtype}[${shape.join(', ')}]`,
      `${units} ${data instanceof Uint8Array ? 'bytes' : 'values'}`,
      `${data.length}`,
      'try another shape',
    );
  if ((dtype === 'F16' || dtype === 'BF16') && data instanceof Float32Array) {
    const toBits = dtype === 'F16' ? numberToHalf : numberToBfloat;
    return new Uint8Array(Uint16Array.from(data, toBits).buffer);
  }
  const fits =
    data instanceof Uint8Array ||
    (dtype === 'F32' && data instanceof Float32Array) ||
    (dtype === 'F64' && data instanceof Float64Array) ||
    (dtype === 'I32' && data instanceof Int32Array) ||
    (dtype === 'I64' && data instanceof BigInt64Array);
  if (!fits)
    throw new SafetensorsError(
      `${name} ${dtype}`,
      'values of that type',
      data.constructor.name,
      'try to convert them, or give their bytes',
    );
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Header bytes (length and JSON, padded to 8) for tensors in the order given. @throws SafetensorsError for a name twice. */
export function encodeHeader(
  tensors: readonly Pick<TensorToStore, 'name' | 'dtype' | 'shape'>[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const members = Object.keys(metadata).length > 0 ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  const names = new Set(['__metadata__']);
  let begin = 0;
  for (const { name, dtype, shape } of tensors) {
    if (names.has(name))
      throw new SafetensorsError('tensors', 'names that are used once', `two tensors named ${name}`, 'try other names');
    names.add(name);
    const end = begin + sizeOfShape(shape) * bytesPerElement[dtype];
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
    begin = end;
  }
  const json = new TextEncoder().encode(`{${members.join(',')}}`);
  const padded = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(padded.buffer).setBigUint64(0, BigInt(padded.length - 8), true);
  padded.set(json, 8);
  return padded;
}

/** A whole file. Tensors are stored widest type first, then by name: the same input gives the same bytes. @throws SafetensorsError */
export function encodeSafetensors(
  tensors: Iterable<TensorToStore>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
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

/** Order of storage, the original writer's: by type, wide ones first, so that every tensor is aligned; then by name. */
export function sortForStorage<T extends Pick<TensorToStore, 'name' | 'dtype'>>(tensors: Iterable<T>): T[] {
  return [...tensors].sort(
    (a, b) => dtypes.indexOf(b.dtype) - dtypes.indexOf(a.dtype) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
}
