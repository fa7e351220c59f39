import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Writes a file so that a crash leaves the old one or the new one, never a part: temporary file, fsync, rename, fsync of
 * the folder. On an error nothing stays behind.
 */
export async function writeFileAtomic(
  path: string,
  content: Uint8Array | string | ((write: (bytes: Uint8Array) => Promise<void>) => Promise<void>),
): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = await open(temporary, 'w');
  try {
    if (typeof content === 'function') await content((bytes) => file.writeFile(bytes));
    else await file.writeFile(content);
    await file.sync();
    await file.close();
    await rename(temporary, path);
  } catch (error) {
    await file.close().catch(() => {});
    await rm(temporary, { force: true });
    throw error;
  }
  const folder = await open(dirname(path), 'r');
  await folder.sync();
  await folder.close();
}
