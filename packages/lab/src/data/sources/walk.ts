import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { byCodeUnit } from './items.ts';

export interface FoundFile {
  path: string;
  /** Below the root, with forward slashes. */
  name: string;
  bytes: number;
  /** Names of all entries of its folder. */
  siblings: ReadonlySet<string>;
}

/** An entry that cannot be read. */
export interface NotFound {
  name: string;
  reason: string;
}

/**
 * Files below a folder, depth first, each folder in code-unit order. Links are followed; a folder is entered once, so loops
 * end. Hidden files are passed over. What cannot be read is yielded as NotFound and the walk goes on.
 */
export async function* walkFiles(
  root: string,
  accept: (name: string) => boolean,
): AsyncGenerator<FoundFile | NotFound, void, undefined> {
  const entered = new Map<string, string>();

  async function* walk(path: string, prefix: string): AsyncGenerator<FoundFile | NotFound, void, undefined> {
    const { dev, ino } = await stat(path);
    const key = `${dev}:${ino}`;
    const before = entered.get(key);
    if (before !== undefined) {
      yield { name: prefix, reason: `expected a folder not read yet, got a link to ${before}` };
      return;
    }
    entered.set(key, prefix || './');
    const entries = (await readdir(path, { withFileTypes: true })).filter((entry) => !entry.name.startsWith('.'));
    const siblings = new Set(entries.map((entry) => entry.name));
    for (const entry of entries.sort((a, b) => byCodeUnit(a.name, b.name))) {
      const name = prefix + entry.name;
      const entryPath = join(path, entry.name);
      const isLink = entry.isSymbolicLink();
      if (!entry.isDirectory() && !isLink && !accept(entry.name)) continue;
      try {
        const info = await stat(entryPath);
        if (info.isDirectory()) yield* walk(entryPath, `${name}/`);
        else if (!accept(entry.name)) continue;
        else if (info.isFile()) yield { path: entryPath, name, bytes: info.size, siblings };
        else yield { name, reason: 'expected a file, got a device, pipe or socket' };
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === undefined) throw error;
        const what = entry.isDirectory()
          ? 'a folder that can be read'
          : isLink
            ? 'a link that leads somewhere'
            : 'a file';
        yield { name, reason: `expected ${what}, got ${code}` };
      }
    }
  }
  yield* walk(root, '');
}
