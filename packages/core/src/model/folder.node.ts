import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModelSource } from './source.ts';

/** The files of a folder. */
export function folderSource(folder: string): ModelSource {
  return { name: folder, read: (file) => readFile(join(folder, file)) };
}
