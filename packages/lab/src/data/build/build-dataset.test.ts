import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Philox } from '@unif2ace/graph';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDataset } from '../export/read-dataset.ts';
import { buildDataset } from './build-dataset.ts';
import { openLmdbStore } from './store.ts';
import { writeTinyCelebA } from './test/tiny-celeba.ts';
import { validateRecord } from './validate.ts';

let root: string;
let celeba: string;
const faces = 24;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'build-'));
  celeba = join(root, 'celeba');
  await writeTinyCelebA(celeba, faces);
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Hash of every file below a folder, by name. */
async function contents(folder: string): Promise<Record<string, string>> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const hashes = await Promise.all(
    files.map(async (file) => {
      const path = join(file.parentPath, file.name);
      return [
        path.slice(folder.length),
        createHash('sha256')
          .update(await readFile(path))
          .digest('hex'),
      ] as const;
    }),
  );
  return Object.fromEntries(hashes.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const build = (out: string, more: Partial<Parameters<typeof buildDataset>[0]> = {}) =>
  buildDataset({ sources: [celeba], out: join(root, out), classifierFolder: null, threads: 1, ...more });

describe('a data set from labelled faces', () => {
  test('has every face with captions, questions and a split by identity', async () => {
    const summary = await build('a');
    expect(summary.faces).toBe(faces);
    expect(summary.questions).toBeGreaterThanOrEqual(8 * faces);
    expect(summary.rejected).toEqual([]);
    const files = Object.keys(await contents(join(root, 'a')));
    expect(files).toContain('/dataset.json');
    expect(files).toContain('/rejections.jsonl');
    expect(files.filter((file) => file.endsWith('.parquet')).length).toBeGreaterThanOrEqual(4);
  });

  test('is read back record by record, every text sound', async () => {
    const dataset = await openDataset(join(root, 'a'));
    expect(dataset.count).toBe(faces);
    const ids: string[] = [];
    for await (const record of dataset.records()) {
      ids.push(record.id);
      expect(validateRecord(record).faults).toEqual([]);
      expect(record.captions.length).toBeGreaterThan(0);
      expect([...record.image.subarray(0, 2)]).toEqual([0xff, 0xd8]);
    }
    expect(new Set(ids).size).toBe(faces);
    expect((await dataset.record(3)).id).toBe(ids[3]);
    await expect(openDataset(root)).rejects.toThrow(/expected a data set at .*, got ENOENT for dataset.json/);
  });

  test('a second run changes nothing and looks at no photo again', async () => {
    const before = await contents(join(root, 'a'));
    const store = await openLmdbStore(join(root, 'a.work'));
    const written: string[] = [];
    const watched = { ...store, put: async (...args: Parameters<typeof store.put>) => void written.push(args[0]) };
    await build('a', { store: watched });
    await store.close();
    expect(written).toEqual([]);
    expect(await contents(join(root, 'a'))).toEqual(before);
  });

  test('another seed gives other words, from the same photos', async () => {
    const store = await openLmdbStore(join(root, 'a.work'));
    const written: string[] = [];
    const put: typeof store.put = async (table, entries) => {
      written.push(table);
      await store.put(table, entries);
    };
    await build('a2', { store: { ...store, put }, seed: 2 });
    await store.close();
    expect(new Set(written)).toEqual(new Set(['captions', 'questions']));
    expect(await contents(join(root, 'a2'))).not.toEqual(await contents(join(root, 'a')));
  });

  test('threads do not matter', async () => {
    await build('b', { threads: 2 });
    expect(await contents(join(root, 'b'))).toEqual(await contents(join(root, 'a')));
  });
});

describe('photos that cannot be used', () => {
  test('are named with a reason, and the others go on', async () => {
    const folder = join(root, 'mixed');
    await mkdir(folder);
    const photo = join(celeba, 'img_align_celeba', '000001.jpg');
    await writeFile(join(folder, 'empty.jpg'), '');
    await writeFile(join(folder, 'text.jpg'), 'not a picture');
    await writeFile(join(folder, 'cut.jpg'), (await readFile(photo)).subarray(0, 900));
    await copyFile(photo, join(folder, 'blob.jpg'));
    await symlink(folder, join(folder, 'loop'));
    const summary = await buildDataset({
      sources: [celeba, folder],
      out: join(root, 'c'),
      classifierFolder: null,
      threads: 1,
    });
    expect(summary.faces).toBe(faces);
    const reasons = Object.fromEntries(summary.rejected.map(({ name, reason }) => [name, reason]));
    expect(reasons['empty.jpg']).toContain('an empty file');
    expect(reasons['text.jpg']).toMatch(/expected a .*picture/);
    expect(reasons['cut.jpg']).toBeDefined();
    expect(reasons['blob.jpg']).toMatch(/same bytes|expected a face/);
  });

  test('people who opted out are left out, children where ages are known', async () => {
    const photo = join(celeba, 'img_align_celeba', '000002.jpg');
    const hash = createHash('sha256')
      .update(await readFile(photo))
      .digest('hex');
    const summary = await build('d', { optOut: { files: new Set([hash]), matches: () => false } });
    expect(summary.faces).toBe(faces - 1);
    expect(summary.rejected).toEqual([
      { source: 'celeba', name: '000002.jpg', stage: 'detect', reason: 'opted out', wanted: true },
    ]);
  });

  test('no photos at all is one clear line', async () => {
    await mkdir(join(root, 'none'));
    await expect(build('e', { sources: [join(root, 'none')] })).rejects.toThrow(/expected .*got/);
  });
});

describe('a build that is killed', () => {
  const process = join(import.meta.dirname, 'test', 'build-process.ts');
  const start = (out: string): ChildProcess =>
    spawn('node', ['--import', 'tsx', '--conditions=source', process, celeba, out], { stdio: 'ignore' });
  const ended = (child: ChildProcess) =>
    new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));

  test('at 50 moments ends with the same bytes as one that was left alone', { timeout: 600_000 }, async () => {
    const expected = await contents(join(root, 'a'));
    const random = new Philox(8);
    const startMs = performance.now();
    expect(await ended(start(join(root, 'whole')))).toBe(0);
    const wholeMs = performance.now() - startMs;
    let kills = 0;
    for (let round = 0; kills < 50; round++) {
      const out = join(root, `killed-${round}`);
      // some runs are killed again and again on the way
      for (let life = 0; life < 6; life++) {
        const child = start(out);
        const exit = ended(child);
        const timer = setTimeout(() => child.kill('SIGKILL'), wholeMs * (0.3 + 0.75 * random.uniform()));
        const code = await exit;
        clearTimeout(timer);
        if (code === 0) break;
        kills++;
      }
      expect(await ended(start(out))).toBe(0);
      expect(await contents(out)).toEqual(expected);
      await rm(out, { recursive: true, force: true });
      await rm(`${out}.work`, { recursive: true, force: true });
    }
  });
});
