import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describeError } from './describe-error.ts';
import { TrainError } from './events.ts';

/** One line on a file of a run that could not be written. @param what the file's role; @param kept what is safe. */
export async function notWritten(
  what: string,
  path: string,
  bytes: number,
  error: unknown,
  kept: string,
): Promise<TrainError> {
  const mebibytes = (count: number) => `${(count / 2 ** 20).toFixed(1)} MiB`;
  const isFull = (error as NodeJS.ErrnoException).code === 'ENOSPC';
  const free = isFull ? await statfs(dirname(path)).catch(() => undefined) : undefined;
  const room = free ? ` with ${mebibytes(free.bavail * free.bsize)} free` : '';
  const got = isFull ? `a full disk${room}` : describeError(error);
  return new TrainError(
    `train: ${what} ${path}: expected room for ${mebibytes(bytes)}, got ${got}; ${kept}: try to make room, then --resume`,
  );
}
