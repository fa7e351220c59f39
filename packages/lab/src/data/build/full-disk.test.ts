import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
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
  const build = (out: string) =>
    buildDataset({ sources: [join(root, 'celeba')], out, classifierFolder: null, threads: 1 });
  // holds the hashes of all other files
  const manifest = async (folder: string) =>
    createHash('sha256')
      .update(await readFile(join(folder, 'dataset.json')))
      .digest('hex');
  let whole: string;
  beforeAll(async () => {
    await build(join(root, 'whole'));
    whole = await manifest(join(root, 'whole'));
  });

  test.each([
    [
      'at the intermediate results',
      '120k',
      /^data: expected room for intermediate results in .*set\.work, got "(No space left on device|Input\/output error)" with \d+ kB free; try/,
    ],
    ['at the finished files', '900k', /^exportDataset: expected to write .*set\.unif2ace-partial.*, got ENOSPC/],
  ])(
    '%s is named in one line and leaves nothing half-written; with room the build goes on to the same bytes',
    async (_, size, message) => {
      expect(mount(`size=${size}`)).toBe(true);
      try {
        await expect(build(join(disk, 'set'))).rejects.toThrow(message);
        expect(await readdir(disk)).toEqual(['set.work']);
        expect(mount('remount,size=40m')).toBe(true);
        await build(join(disk, 'set'));
        expect(await manifest(join(disk, 'set'))).toBe(whole);
      } finally {
        spawnSync('umount', [disk]);
      }
    },
  );
});
