import { open } from 'node:fs/promises';
import type { Locator } from '../build/types.ts';
import { DataError } from '../celeba.ts';
import { readCell } from './parquet-cells.ts';

export const defaultMaxPhotoBytes = 64 * 2 ** 20;

/**
 * Bytes of a photo, from a file, a part of an archive or a cell of a Parquet file.
 * @throws DataError if they are missing, cut off or more than `maxBytes` (64 MiB).
 */
export async function readLocator(
  locator: Locator,
  { maxBytes = defaultMaxPhotoBytes }: { maxBytes?: number } = {},
): Promise<Uint8Array> {
  const { path, range, cell } = locator;
  const tooLarge = (bytes: number) =>
    new DataError(`${path}: expected a photo of at most ${maxBytes} bytes, got ${bytes}; try a larger bound`);
  if (cell) {
    const bytes = await readCell(path, cell.column, cell.row);
    if (bytes.length > maxBytes) throw tooLarge(bytes.length);
    return bytes;
  }
  try {
    const file = await open(path, 'r');
    try {
      const info = await file.stat();
      if (!info.isFile())
        throw new DataError(`${path}: expected a file, got something else; try the list of photos anew`);
      const { offset, length } = range ?? { offset: 0, length: info.size };
      if (length > maxBytes) throw tooLarge(length);
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0)
          throw new DataError(
            `${path}: expected ${length} bytes at ${offset}, got ${done}; try whether the file is whole`,
          );
        done += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof DataError || code === undefined) throw error;
    throw new DataError(
      `${path}: expected a photo, got ${code === 'ENOENT' ? 'none' : code}; try the list of photos anew`,
    );
  }
}
