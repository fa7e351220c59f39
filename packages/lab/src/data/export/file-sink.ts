import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { DataError } from '../celeba.ts';

/** A file written from front to back; its hash is taken on the way. */
export class FileSink {
  readonly path: string;
  bytes = 0;
  readonly #file: FileHandle;
  readonly #hash: Hash = createHash('sha256');

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  static async create(path: string): Promise<FileSink> {
    return new FileSink(path, await writing(path, () => open(path, 'wx')));
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    await writing(this.path, async () => {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await this.#file.write(bytes, done);
        done += bytesWritten;
      }
    });
    this.bytes += bytes.length;
  }

  /** Brings the file to the disk. @returns SHA-256, hex digits. */
  async close(): Promise<string> {
    await writing(this.path, async () => {
      await this.#file.sync();
      await this.#file.close();
    });
    return this.#hash.digest('hex');
  }

  /** Closes a file that is given up. */
  async abandon(): Promise<void> {
    await this.#file.close().catch(() => {});
  }
}

const advice: Readonly<Record<string, string>> = {
  ENOSPC: 'try a disk with more room',
  EDQUOT: 'try a disk with more room for this user',
  EFBIG: 'try fewer rows per shard',
  EACCES: "try a folder you may write to, or the folder's permissions",
  EPERM: "try a folder you may write to, or the folder's permissions",
  EROFS: 'try a folder that is not read-only',
  ENOTDIR: 'try a path whose parents are folders',
};

/** Runs a step that writes; a failure of the file system becomes a DataError of one line. */
export async function writing<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined || error instanceof DataError) throw error;
    const got = code === 'ENOSPC' ? 'ENOSPC (no room left)' : code;
    throw new DataError(
      `exportDataset: expected to write ${path}, got ${got}; ${advice[code] ?? 'try another folder'}`,
    );
  }
}
