import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';

// Reads the member list of a tar (ustar, pax, GNU long names) without its contents: where each member's bytes lie.

export const tarBlockBytes = 512;
const maxLongNameBytes = 1 << 20;

type TarMemberType = 'file' | 'folder' | 'link' | 'device' | 'other';

export interface TarMember {
  name: string;
  type: TarMemberType;
  /** First byte of the contents in the tar. */
  offset: number;
  /** Bytes of contents. */
  length: number;
}

/** A tar that is damaged or cut off. The message says what was expected and got. */
export class TarError extends Error {
  override readonly name = 'TarError';
}

/** Members in file order. @throws TarError after the last member that is whole. */
export async function* readTarMembers(file: FileHandle): AsyncGenerator<TarMember, void, undefined> {
  const { size: fileBytes } = await file.stat();
  const header = new Uint8Array(tarBlockBytes);
  let position = 0;
  let longName: string | undefined;
  let longLength: number | undefined;

  while (true) {
    const { bytesRead } = await file.read(header, 0, tarBlockBytes, position);
    if (bytesRead < tarBlockBytes)
      throw new TarError(`expected a member or the end mark at byte ${position}, got the end of the file (cut off?)`);
    if (header.every((byte) => byte === 0)) return;
    checkSum(header, position);
    const offset = position + tarBlockBytes;
    const typeFlag = String.fromCharCode(header[156]!);
    const ownLength = numberAt(header, 124, 12, position);
    const isExtension = 'xgLK'.includes(typeFlag);
    const length = isExtension ? ownLength : (longLength ?? ownLength);
    if (offset + length > fileBytes)
      throw new TarError(
        `expected ${length} bytes of contents at byte ${offset}, got ${fileBytes - offset} (cut off?)`,
      );
    position = offset + Math.ceil(length / tarBlockBytes) * tarBlockBytes;

    if (isExtension) {
      if (typeFlag === 'x' || typeFlag === 'L') {
        if (length > maxLongNameBytes)
          throw new TarError(
            `expected at most ${maxLongNameBytes} bytes of long name at byte ${offset}, got ${length}`,
          );
        const extension = new Uint8Array(length);
        await file.read(extension, 0, length, offset);
        if (typeFlag === 'L') longName = textAt(extension, 0, length);
        else {
          const fields = paxFields(extension, offset);
          longName = fields.get('path') ?? longName;
          const paxLength = fields.get('size');
          if (paxLength !== undefined) longLength = wholeNumber(paxLength, offset);
        }
      }
      continue;
    }
    yield { name: longName ?? nameOf(header), type: typeOf(typeFlag), offset, length };
    longName = undefined;
    longLength = undefined;
  }
}

/** True for a gzip file, told by its first bytes; false for one that cannot be read. */
export async function isGzip(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'r');
    try {
      const start = new Uint8Array(2);
      await file.read(start, 0, 2, 0);
      return start[0] === 0x1f && start[1] === 0x8b;
    } finally {
      await file.close();
    }
  } catch {
    return false;
  }
}

function typeOf(flag: string): TarMemberType {
  if (flag === '0' || flag === '\0' || flag === '7') return 'file';
  if (flag === '5') return 'folder';
  if (flag === '1' || flag === '2') return 'link';
  return flag === '3' || flag === '4' || flag === '6' ? 'device' : 'other';
}

function nameOf(header: Uint8Array): string {
  const name = textAt(header, 0, 100);
  // GNU's magic is "ustar " and its prefix field holds something else
  const isPosix = textAt(header, 257, 6) === 'ustar';
  const prefix = isPosix ? textAt(header, 345, 155) : '';
  return prefix ? `${prefix}/${name}` : name;
}

const utf8 = new TextDecoder();

function textAt(bytes: Uint8Array, start: number, length: number): string {
  const field = bytes.subarray(start, start + length);
  const end = field.indexOf(0);
  return utf8.decode(end < 0 ? field : field.subarray(0, end));
}

function numberAt(header: Uint8Array, start: number, length: number, position: number): number {
  if (header[start]! & 0x80) {
    // GNU: big-endian binary for what does not fit in octal
    let value = header[start]! & 0x7f;
    for (let i = 1; i < length; i++) value = value * 256 + header[start + i]!;
    if (!Number.isSafeInteger(value)) throw new TarError(`expected a size at byte ${position}, got one past 2^53`);
    return value;
  }
  const text = textAt(header, start, length).trim();
  if (!/^[0-7]*$/.test(text)) throw new TarError(`expected an octal number at byte ${position}, got other text`);
  return text === '' ? 0 : Number.parseInt(text, 8);
}

function checkSum(header: Uint8Array, position: number): void {
  let sum = 8 * 0x20;
  for (let i = 0; i < tarBlockBytes; i++) if (i < 148 || i >= 156) sum += header[i]!;
  if (numberAt(header, 148, 8, position) !== sum)
    throw new TarError(`expected a tar header at byte ${position}, got a wrong checksum (damaged, or not a tar?)`);
}

/** Records "length key=value\n", the length counting itself. */
function paxFields(bytes: Uint8Array, position: number): Map<string, string> {
  const fields = new Map<string, string>();
  for (let start = 0; start < bytes.length; ) {
    const space = bytes.indexOf(0x20, start);
    const length = space < 0 ? 0 : wholeNumber(utf8.decode(bytes.subarray(start, space)), position);
    const record = utf8.decode(bytes.subarray(space + 1, start + length - 1));
    const equals = record.indexOf('=');
    if (length < 5 || start + length > bytes.length || equals < 1)
      throw new TarError(`expected a pax record at byte ${position}, got other bytes`);
    fields.set(record.slice(0, equals), record.slice(equals + 1));
    start += length;
  }
  return fields;
}

function wholeNumber(text: string, position: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new TarError(`expected a whole number at byte ${position}, got other text`);
  return value;
}
