import { type FileHandle, mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../celeba.ts';
import { type Rating, ratingSchema } from './rating.ts';

export const logName = 'ratings.jsonl';

export interface OpenedLog {
  log: RatingsLog;
  ratings: Rating[];
  /** One line each about what was passed over. */
  notices: string[];
}

/**
 * Ratings in the order they came, one JSON line each. Lines are only ever added, and each is on the disk before it counts:
 * a crash can lose no more than a line whose rater was not told that it is saved. One server at a time per folder.
 */
export class RatingsLog {
  readonly #file: FileHandle;
  readonly #path: string;
  #bytes: number;
  #last: Promise<unknown> = Promise.resolve();
  #broken: Error | undefined;

  private constructor(file: FileHandle, path: string, bytes: number) {
    this.#file = file;
    this.#path = path;
    this.#bytes = bytes;
  }

  /** @throws DataError for a folder that cannot be written and for a complete line that is not a rating. */
  static async open(folder: string): Promise<OpenedLog> {
    const path = join(folder, logName);
    let file: FileHandle | undefined;
    try {
      await mkdir(folder, { recursive: true });
      file = await open(path, 'a+');
      const { ratings, bytes, notices } = parseLog(await readFile(path), path);
      await file.truncate(bytes);
      await file.sync();
      await syncFolder(folder);
      return { log: new RatingsLog(file, path, bytes), ratings, notices };
    } catch (error) {
      await file?.close();
      if (error instanceof DataError) throw error;
      const { code, message } = error as NodeJS.ErrnoException;
      throw new DataError(
        `review: expected to write ratings to ${path}, got ${code ?? message}; try a folder you may write to`,
      );
    }
  }

  /** Adds a rating; when it resolves, the rating is on the disk. When it rejects, the log is as before. */
  append(rating: Rating): Promise<void> {
    const done = this.#last.then(() => this.#write(Buffer.from(`${JSON.stringify(rating)}\n`)));
    this.#last = done.catch(() => {});
    return done;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#file.close();
  }

  async #write(line: Buffer): Promise<void> {
    if (this.#broken) throw this.#broken;
    try {
      const { bytesWritten } = await this.#file.write(line);
      if (bytesWritten < line.length) throw Object.assign(new Error('part of a line'), { code: 'ENOSPC' });
      await this.#file.datasync();
      this.#bytes += line.length;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const fault = new DataError(
        `review: expected to write a rating to ${this.#path}, got ${code ?? message}; try a disk with room`,
      );
      // Without this, the next rating would continue a torn line
      await this.#file.truncate(this.#bytes).catch(() => {
        this.#broken = fault;
      });
      throw fault;
    }
  }
}

/** The file itself must be in its folder after a crash, not only its contents on the disk. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function parseLog(contents: Buffer, path: string): { ratings: Rating[]; bytes: number; notices: string[] } {
  const bytes = contents.lastIndexOf(0x0a) + 1;
  const notices: string[] = [];
  if (bytes < contents.length)
    notices.push(
      `review: ${path}: passed over an unfinished last line of ${contents.length - bytes} bytes; its rating was never confirmed`,
    );
  const ratings: Rating[] = [];
  const seen = new Set<string>();
  const lines = contents.toString('utf8', 0, bytes).split('\n').slice(0, -1);
  for (const [index, line] of lines.entries()) {
    const rating = parseLine(line, `${path}, line ${index + 1}`);
    const key = `${rating.rater}\n${rating.item}`;
    if (seen.has(key)) notices.push(`review: ${path}, line ${index + 1}: passed over a second rating by one rater`);
    else ratings.push(rating);
    seen.add(key);
  }
  return { ratings, bytes, notices };
}

function parseLine(line: string, where: string): Rating {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new DataError(
      `review: ${where}: expected a rating as JSON, got other text; try another folder, or mend the line`,
    );
  }
  const parsed = ratingSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new DataError(
    `review: ${where}: expected a rating of version 1, got a fault at "${issue!.path.join('.')}" (${issue!.message}); try another folder, or mend the line`,
  );
}
