/** Exit codes; scripts rely on them. */
export const exitCodes = { done: 0, failed: 1, usage: 2, pending: 3, interrupted: 130 } as const;

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** The command cannot be done: exit code 1. */
export class CommandError extends Error {
  override name = 'CommandError';
  constructor(what: string, expected: string, got: string, advice: string) {
    super(`${what}: expected ${expected}, got ${got}; try ${advice}`);
  }
}

/**
 * The work is done, but some items could not be used: the exit code is 10 and their number, at most 120, so that it is
 * never taken for one of the others.
 */
export class ItemsFailed extends Error {
  override name = 'ItemsFailed';
  readonly exitCode: number;
  constructor(count: number, message: string) {
    super(message);
    this.exitCode = Math.min(120, 10 + count);
  }
}

/** The command ran until it was told to stop, and ended well: exit code 0. */
export class StoppedAsAsked extends Error {
  override name = 'StoppedAsAsked';
}

/** A message on one line. */
export function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** A value of the command line as it is quoted in a message. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}…` : text);
}

/** Code of a file system error, in words where there are some. */
export function fileTrouble(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  const words: Record<string, string> = {
    ENOENT: 'no such file or folder',
    ENOTDIR: 'a file in the place of a folder',
    EACCES: 'no permission',
    EPERM: 'no permission',
    EROFS: 'a read-only disk',
    ENOSPC: 'a full disk',
    EISDIR: 'a folder',
    ENAMETOOLONG: 'a name that is too long',
  };
  return words[code] ?? code;
}
