import { open, stat } from 'node:fs/promises';
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { DataError } from '../celeba.ts';

/** A Parquet file opened for reading parts of it. */
export interface ParquetFile {
  path: string;
  buffer: AsyncBuffer;
  metadata: FileMetaData;
}

/** Groups whose image column is larger are read cell by cell. */
const maxCachedGroupBytes = 128 * 2 ** 20;
const maxCachedGroups = 2;
const maxCachedFiles = 16;

/** @throws DataError if it is no Parquet file. */
export async function openParquet(path: string): Promise<ParquetFile> {
  const { size } = await stat(path);
  const buffer: AsyncBuffer = {
    byteLength: size,
    async slice(start, end = size) {
      const file = await open(path, 'r');
      try {
        const bytes = new Uint8Array(Math.max(end - start, 0));
        const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
        return bytes.buffer.slice(0, bytesRead);
      } finally {
        await file.close();
      }
    },
  };
  try {
    return { path, buffer, metadata: await parquetMetadataAsync(buffer) };
  } catch (error) {
    throw new DataError(
      `${path}: expected a Parquet file, got ${(error as Error).message.slice(0, 80)}; try whether it is whole`,
    );
  }
}

/** Rows `rowStart` … `rowEnd` − 1 of some columns. Bytes stay bytes unless the file calls them text. */
export function readRows(
  { buffer, metadata }: ParquetFile,
  columns: string[],
  rowStart: number,
  rowEnd: number,
): Promise<Record<string, unknown>[]> {
  const useOffsetIndex = true;
  return parquetReadObjects({
    file: buffer,
    metadata,
    columns,
    rowStart,
    rowEnd,
    compressors,
    utf8: false,
    useOffsetIndex,
  });
}

/** Row ranges of the row groups that are not empty. */
export function rowGroupsOf({ metadata }: ParquetFile): { start: number; end: number }[] {
  let start = 0;
  return metadata.row_groups.flatMap(({ num_rows }) => {
    const end = start + Number(num_rows);
    const group = { start, end };
    start = end;
    return group.end > group.start ? [group] : [];
  });
}

const files = new Map<string, Promise<ParquetFile>>();
const groups = new Map<string, Promise<Record<string, unknown>[]>>();

/**
 * The bytes in one cell: a column of bytes, or of `{bytes, path}`. The last row groups are kept, so that reading row after row
 * decodes each group once.
 * @throws DataError if the row or column is missing or the cell holds no bytes.
 */
export async function readCell(path: string, column: string, row: number): Promise<Uint8Array> {
  const { size, mtimeMs } = await stat(path);
  const fileKey = `${path}\n${size}\n${mtimeMs}`;
  const file = await cached(files, fileKey, maxCachedFiles, () => openParquet(path));
  const group = rowGroupsOf(file).find(({ start, end }) => row >= start && row < end);
  if (!group)
    throw new DataError(
      `${path}: expected row ${row}, got ${file.metadata.num_rows} rows; try the list of photos anew`,
    );
  const isKept = groupBytes(file, column, group.start) <= maxCachedGroupBytes;
  const rows = isKept
    ? await cached(groups, `${fileKey}\n${column}\n${group.start}`, maxCachedGroups, () =>
        readRows(file, [column], group.start, group.end),
      )
    : await readRows(file, [column], row, row + 1);
  const value = rows[isKept ? row - group.start : 0]?.[column];
  const bytes = value instanceof Uint8Array ? value : (value as { bytes?: unknown } | null | undefined)?.bytes;
  if (!(bytes instanceof Uint8Array))
    throw new DataError(
      `${path}: expected bytes in column ${column}, row ${row}, got none; try pictures stored in the file`,
    );
  return bytes;
}

function groupBytes({ metadata }: ParquetFile, column: string, groupStart: number): number {
  let start = 0;
  for (const { columns, num_rows } of metadata.row_groups) {
    if (start === groupStart)
      return columns
        .filter(({ meta_data }) => meta_data?.path_in_schema[0] === column)
        .reduce((sum, { meta_data }) => sum + Number(meta_data!.total_uncompressed_size), 0);
    start += Number(num_rows);
  }
  return 0;
}

/** The oldest entries go first; a failure is not kept. */
function cached<T>(cache: Map<string, Promise<T>>, key: string, limit: number, make: () => Promise<T>): Promise<T> {
  const found = cache.get(key);
  if (found) {
    cache.delete(key);
    cache.set(key, found);
    return found;
  }
  const made = make();
  made.catch(() => cache.delete(key));
  cache.set(key, made);
  for (const oldest of cache.keys()) {
    if (cache.size <= limit) break;
    cache.delete(oldest);
  }
  return made;
}
