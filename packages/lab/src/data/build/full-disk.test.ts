import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildDataset } from './build-dataset.ts';
import { writeTinyCelebA } from './test/tiny-celeba.ts';

let root: string;
let disk: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'full-disk-'));
  disk = join(root, 'disk');
  await mkdir(disk);
  await writeTinyCelebA(join(root, 'celeba'), 24);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const mount = (options: string) => spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk]).status === 0;
/** Only root may make a small disk. */
const mayMount = process.getuid?.() === 0 && process.platform === 'linux';

describe.skipIf(!mayMount)('a disk that fills up', () => {
  test('is named in one line, no data set is left half-written; with room the build goes on to the same bytes', async () => {
    const build = (out: string) =>
      buildDataset({ sources: [join(root, 'celeba')], out, classifierFolder: null, threads: 1 });
    await build(join(root, 'whole'));
    expect(mount('size=120k')).toBe(true);
    try {
      const full = await build(join(disk, 'set')).then(
        () => undefined,
        (error: Error) => error.message,
      );
      expect(full).toMatch(
        /^data: expected room for intermediate results in .*set\.work, got "No space left on device"; try/,
      );
      await expect(stat(join(disk, 'set'))).rejects.toThrow('ENOENT');
      expect(mount('remount,size=40m')).toBe(true);
      await build(join(disk, 'set'));
      const hash = async (folder: string) =>
        createHash('sha256')
          .update(await readFile(join(folder, 'dataset.json')))
          .digest('hex');
      // holds the hashes of all other files
      expect(await hash(join(disk, 'set'))).toBe(await hash(join(root, 'whole')));
    } finally {
      spawnSync('umount', [disk]);
    }
  });
});
