import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Philox } from '@unif2ace/graph';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dataFolder } from '../celeba.ts';
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
  const script = join(import.meta.dirname, 'test', 'build-process.ts');
  /** Stages that were under way when it was killed; undefined when it came to its end. */
  const run = (source: string, out: string, events: number, delayMs: number, ...classifier: string[]) =>
    new Promise<string[] | undefined>((resolve, reject) => {
      const args = [script, source, out, String(events), String(delayMs), ...classifier];
      const child = spawn('node', ['--import', 'tsx', '--conditions=source', ...args]);
      let text = '';
      child.stdout.on('data', (piece) => {
        text += piece;
      });
      child.on('close', (code, signal) => {
        if (signal === 'SIGKILL') resolve(text.split(' '));
        else if (code === 0) resolve(undefined);
        else reject(new Error(`the build ended with code ${code}`));
      });
    });

  test('at 50 moments ends with the same bytes as one that was left alone', { timeout: 1_200_000 }, async () => {
    const expected = await contents(join(root, 'a'));
    const stages = new Map<string, number>();
    let kills = 0;
    let rounds = 0;
    const lane = async () => {
      while (kills < 50) {
        const round = rounds++;
        const random = new Philox(8, round);
        const out = join(root, `killed-${round}`);
        // each run is killed again and again on its way
        for (let life = 0; life < 8; life++) {
          const delayMs = random.uniform() < 0.5 ? 0 : 1 + random.int(80);
          const killed = await run(celeba, out, 1 + random.int(110), delayMs);
          if (!killed) break;
          kills++;
          for (const stage of killed) stages.set(stage, (stages.get(stage) ?? 0) + 1);
        }
        expect(await run(celeba, out, 0, 0)).toBeUndefined();
        expect(await contents(out)).toEqual(expected);
        await rm(out, { recursive: true, force: true });
        await rm(`${out}.work`, { recursive: true, force: true });
      }
    };
    await Promise.all([lane(), lane(), lane()]);
    for (const stage of ['detect', 'caption', 'refine', 'questions', 'export'])
      expect(stages.get(stage), `kills in ${stage}`).toBeGreaterThan(0);
  });

  const portraits = join(dataFolder(), 'portraits', 'female', '256');
  const classifier = join(import.meta.dirname, '..', '..', '..', '..', '..', 'weights', 'attributes');
  test.skipIf(!existsSync(portraits))(
    'also while it looks for faces and asks the classifier (needs portraits)',
    { timeout: 300_000 },
    async () => {
      const folder = join(root, 'portraits');
      await mkdir(folder);
      for (const name of (await readdir(portraits)).sort().slice(0, 3))
        await copyFile(join(portraits, name), join(folder, name));
      const [alone, shaken] = [join(root, 'portraits-alone'), join(root, 'portraits-shaken')];
      expect(await run(folder, alone, 0, 0, classifier)).toBeUndefined();
      const wanted = ['ingest', 'detect', 'attributes'];
      const stages = new Set<string>();
      // a run that came to its end is begun anew; the others go on from where they were killed
      for (let round = 0; round < 12 && !wanted.every((stage) => stages.has(stage)); round++) {
        const killed = await run(folder, shaken, 1 + round, 0, classifier);
        for (const stage of killed ?? []) stages.add(stage);
        if (killed) continue;
        await rm(shaken, { recursive: true, force: true });
        await rm(`${shaken}.work`, { recursive: true, force: true });
      }
      expect(await run(folder, shaken, 0, 0, classifier)).toBeUndefined();
      expect(await contents(shaken)).toEqual(await contents(alone));
      expect([...stages]).toEqual(expect.arrayContaining(wanted));
    },
  );
});
