import { readFile } from 'node:fs/promises';
import { DataError } from '../celeba.ts';
import { hashBits, NearDuplicates, nearBits } from './duplicates.ts';

/** People who do not want to be in the data set, by the hash of a file or of how a face looks. */
export interface OptOutList {
  /** Content hash (SHA-256) of files. */
  readonly files: ReadonlySet<string>;
  /** True when a face is one of those listed, recompressed or scaled. */
  matches(faceHash: string): boolean;
}

export const emptyOptOut: OptOutList = { files: new Set(), matches: () => false };

/**
 * Reads a list with a line for each entry: `sha256:HEX` of a file or `face:HEX`, the face hash that `data hash` prints.
 * Empty lines and what follows # are passed over. @throws DataError with the line's number.
 */
export async function readOptOut(path: string): Promise<OptOutList> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new DataError(`opt-out: expected a list at ${path}, got ${error.code}; try the path of a text file`);
  });
  const files = new Set<string>();
  const faces = new NearDuplicates<true>(nearBits);
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    const entry = line.replace(/#.*/, '').trim().toLowerCase();
    if (entry === '') continue;
    const file = /^sha256:([0-9a-f]{64})$/.exec(entry);
    const face = new RegExp(`^face:([0-9a-f]{${hashBits / 4}})$`).exec(entry);
    if (file) files.add(file[1]!);
    else if (face) faces.add(face[1]!, true);
    else
      throw new DataError(
        `${path}:${i + 1}: expected sha256:HEX or face:HEX, got ${JSON.stringify(line.slice(0, 40))}; try 64 hex digits`,
      );
  }
  return { files, matches: (hash) => faces.find(hash) !== undefined };
}
