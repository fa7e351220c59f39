import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crop, faceSquare, makeResizer, type PixelImage } from '@unif2ace/core';
import { decodeImage } from '@unif2ace/core/node';
import { type AttributeName, type Attributes, attributeNames } from './grammar/attributes.ts';

export type Split = 'train' | 'validation' | 'test';

export interface FaceRecord {
  /** File name without its ending, e.g. "000001". */
  id: string;
  path: string;
  identity: number;
  split: Split;
  attributes: Attributes;
}

/** A data folder that cannot be used. The message is one line. */
export class DataError extends Error {
  override readonly name = 'DataError';
}

/** By identity, never by image: a person seen in training must not be met again in the test. */
export function splitOfIdentity(identity: number): Split {
  const rest = identity % 10;
  return rest === 0 ? 'test' : rest === 1 ? 'validation' : 'train';
}

/** Folder of the development data: UNIF2ACE_DATA, else ../shared/data beside the repository. It need not exist. */
export function dataFolder(): string {
  const repository = fileURLToPath(new URL('../../../../', import.meta.url));
  return process.env.UNIF2ACE_DATA ?? join(repository, '..', 'shared', 'data');
}

/**
 * Reads the labels of a folder in CelebA's own layout: img_align_celeba/, list_attr_celeba.txt, identity_CelebA.txt.
 * Pictures are not opened; records come in the order of the attribute list.
 * @throws DataError for a missing folder or file and for malformed lines, with the line's number.
 */
export async function readCelebA(folder: string): Promise<FaceRecord[]> {
  const images = join(folder, 'img_align_celeba');
  if (!(await isFolder(images)))
    throw new DataError(
      `readCelebA: expected the folder ${images}, got none; try the folder that holds img_align_celeba/`,
    );
  const identities = await readIdentities(join(folder, 'identity_CelebA.txt'));
  const path = join(folder, 'list_attr_celeba.txt');
  const lines = await readLines(path);

  const fail = (line: number, expected: string, got: string) =>
    new DataError(`${path}:${line}: expected ${expected}, got ${got}; try the file as CelebA distributes it`);
  const names = (lines[1] ?? '').trim().split(/\s+/);
  const missing = attributeNames.filter((name) => !names.includes(name));
  if (missing.length > 0 || names.length !== attributeNames.length)
    throw fail(
      2,
      `the ${attributeNames.length} attribute names`,
      `${names.length} names (missing: ${missing.join(', ') || 'none'})`,
    );

  const records: FaceRecord[] = [];
  for (let i = 2; i < lines.length; i++) {
    const [file = '', ...values] = lines[i]!.trim().split(/\s+/);
    const wrong = values.find((value) => value !== '1' && value !== '-1');
    if (!/^[\w-]+\.(?:jpg|png)$/.test(file)) throw fail(i + 1, 'a file name', JSON.stringify(file.slice(0, 40)));
    if (values.length !== names.length) throw fail(i + 1, `${names.length} values`, `${values.length}`);
    if (wrong !== undefined) throw fail(i + 1, 'values 1 or -1', JSON.stringify(wrong));
    const identity = identities.get(file);
    if (identity === undefined) throw fail(i + 1, `an identity for ${file} in identity_CelebA.txt`, 'none');
    const attributes = Object.fromEntries(names.map((name, k) => [name, values[k] === '1'])) as Record<
      AttributeName,
      boolean
    >;
    records.push({
      id: file.slice(0, -4),
      path: join(images, file),
      identity,
      split: splitOfIdentity(identity),
      attributes,
    });
  }
  const announced = Number(lines[0]);
  if (announced !== records.length)
    throw fail(1, `the number of rows (${records.length})`, JSON.stringify(lines[0]!.slice(0, 40)));
  return records;
}

export interface LoadFacesOptions {
  /** Called after every 256 faces and at the end. */
  onProgress?: (done: number, total: number) => void;
  /** Files read at once. Default 8. */
  concurrency?: number;
}

/**
 * Decodes, crops (see `faceCrop`) and resizes faces into one array.
 * @param size edge in pixels.
 * @returns RGB bytes, [N, size, size, 3], in the order of the records.
 * @throws ImageError of the first file that cannot be decoded, named by its path.
 */
export async function loadFaces(
  records: readonly Pick<FaceRecord, 'path'>[],
  size: number,
  options: LoadFacesOptions = {},
): Promise<Uint8Array> {
  const [faces_NHWC] = await loadFacesAtSizes(records, [size], options);
  return faces_NHWC!;
}

/** As `loadFaces` for several sizes at once, each photo decoded a single time; one array per size. */
export async function loadFacesAtSizes(
  records: readonly Pick<FaceRecord, 'path'>[],
  sizes: readonly number[],
  options: LoadFacesOptions = {},
): Promise<Uint8Array[]> {
  const { onProgress, concurrency = 8 } = options;
  const targets = sizes.map((size) => ({
    size,
    faceBytes: 3 * size * size,
    faces_NHWC: new Uint8Array(records.length * 3 * size * size),
    resizers: new Map<number, (image: PixelImage) => PixelImage>(),
  }));
  let next = 0;
  let done = 0;
  const work = async () => {
    while (next < records.length) {
      const index = next++;
      const photo = await decodeImage(records[index]!.path);
      const { left, top, side } = faceSquare(photo.width, photo.height);
      const face = crop(photo, left, top, side, side);
      for (const { size, faceBytes, faces_NHWC, resizers } of targets) {
        const resizer = resizers.get(side) ?? makeResizer(side, side, size, size);
        resizers.set(side, resizer);
        faces_NHWC.set(resizer(face).data, index * faceBytes);
      }
      done++;
      if (done % 256 === 0 || done === records.length) onProgress?.(done, records.length);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, records.length) }, work));
  } finally {
    // One failure stops the other readers at their next file
    next = records.length;
  }
  return targets.map(({ faces_NHWC }) => faces_NHWC);
}

async function readIdentities(path: string): Promise<Map<string, number>> {
  const identities = new Map<string, number>();
  for (const [i, line] of (await readLines(path)).entries()) {
    const match = /^(\S+)\s+(\d+)\s*$/.exec(line);
    if (!match)
      throw new DataError(
        `${path}:${i + 1}: expected "file identity", got ${JSON.stringify(line.slice(0, 40))}; try the file as CelebA distributes it`,
      );
    identities.set(match[1]!, Number(match[2]));
  }
  return identities;
}

/** Lines without the empty ones at the end. */
async function readLines(path: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new DataError(
      `readCelebA: expected the file ${path}, got ${code === 'ENOENT' ? 'none' : code}; try the whole data set`,
    );
  }
  return text.trimEnd().split(/\r?\n/);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
