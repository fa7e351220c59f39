import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePng, faceCrop, pixelImage } from '@unif2ace/core';
import { decodeImage } from '@unif2ace/core/node';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DataError, dataFolder, type FaceRecord, loadFaces, readCelebA, splitOfIdentity } from './celeba.ts';
import { attributeNames } from './grammar/attributes.ts';

let folder: string;
const file = (name: string) => join(folder, name);
const row = (name: string, ...present: string[]) =>
  `${name} ${attributeNames.map((attribute) => (present.includes(attribute) ? ' 1' : '-1')).join(' ')}`;
const names = ['000001.png', '000002.png', '000003.png'];

/** A small data set in CelebA's layout; picture i has red = 10·i, green = its row. */
async function writeDataSet() {
  await rm(folder, { recursive: true, force: true });
  await mkdir(file('img_align_celeba'), { recursive: true });
  await writeFile(
    file('list_attr_celeba.txt'),
    `3\n${attributeNames.join(' ')} \n${row(names[0]!, 'Male', 'Smiling')}\n${row(names[1]!, 'Young')}\n${row(names[2]!)}\n`,
  );
  await writeFile(file('identity_CelebA.txt'), `${names[0]} 20\n${names[1]} 31\n${names[2]} 47\n`);
  for (const [i, name] of names.entries()) {
    const image = pixelImage(89, 109);
    for (let p = 0; p < 89 * 109; p++) image.data.set([10 * (i + 1), Math.floor(p / 89), 0], 3 * p);
    await writeFile(join(folder, 'img_align_celeba', name), encodePng(image));
  }
}

beforeAll(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'celeba-')), 'set');
});
beforeEach(writeDataSet);
afterAll(() => rm(join(folder, '..'), { recursive: true, force: true }));

describe('readCelebA', () => {
  it('reads ids, splits by identity and attributes', async () => {
    const records = await readCelebA(folder);
    expect(records.map(({ id, identity, split }) => [id, identity, split])).toEqual([
      ['000001', 20, 'test'],
      ['000002', 31, 'validation'],
      ['000003', 47, 'train'],
    ]);
    expect(attributeNames.filter((name) => records[0]!.attributes[name])).toEqual(['Male', 'Smiling']);
    expect(attributeNames.filter((name) => records[1]!.attributes[name])).toEqual(['Young']);
    expect(Object.keys(records[2]!.attributes).length).toBe(40);
    expect([10, 0, 11, 1, 2, 19].map(splitOfIdentity)).toEqual([
      'test',
      'test',
      'validation',
      'validation',
      'train',
      'train',
    ]);
  });

  const broken: [string, string, (text: string) => string, RegExp][] = [
    [
      'a value',
      'list_attr_celeba.txt',
      (text) => text.replace(/-1\n$/, '0\n'),
      /list_attr_celeba\.txt:5: expected values 1 or -1, got "0"/,
    ],
    [
      'a missing value',
      'list_attr_celeba.txt',
      (text) => text.replace(/ -1\n$/, '\n'),
      /:5: expected 40 values, got 39/,
    ],
    [
      'an attribute name',
      'list_attr_celeba.txt',
      (text) => text.replace('Bangs', 'Bang'),
      /:2: expected the 40 attribute names.*missing: Bangs/,
    ],
    [
      'the count',
      'list_attr_celeba.txt',
      (text) => text.replace(/^3/, '4'),
      /:1: expected the number of rows \(3\), got "4"/,
    ],
    [
      'a file name',
      'list_attr_celeba.txt',
      (text) => text.replace('000002.png', '../x.png'),
      /:4: expected a file name, got "\.\.\/x\.png"/,
    ],
    ['an empty list', 'list_attr_celeba.txt', () => '', /:2: expected the 40 attribute names/],
    [
      'an identity line',
      'identity_CelebA.txt',
      (text) => text.replace(' 31', ''),
      /identity_CelebA\.txt:2: expected "file identity"/,
    ],
    [
      'an identity left out',
      'identity_CelebA.txt',
      (text) => text.replace(/.* 31\n/, ''),
      /:4: expected an identity for 000002\.png/,
    ],
  ];
  it.each(broken)('names the line of %s that is wrong', async (_, name, change, message) => {
    const { readFile } = await import('node:fs/promises');
    await writeFile(file(name), change(await readFile(file(name), 'utf8')));
    const failure = await readCelebA(folder).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DataError);
    expect((failure as Error).message).toMatch(message);
    expect((failure as Error).message).toMatch(/; try [^\n]+$/);
  });

  it.each(['img_align_celeba', 'list_attr_celeba.txt', 'identity_CelebA.txt'])(
    'says that %s is missing',
    async (name) => {
      await rm(file(name), { recursive: true });
      await expect(readCelebA(folder)).rejects.toThrow(
        new RegExp(`readCelebA: expected the (file|folder) .*${name}, got none; try`),
      );
    },
  );
});

describe('loadFaces', () => {
  it('puts faces at their places, cropped from row 14', async () => {
    const seen: number[] = [];
    const faces = await loadFaces(await readCelebA(folder), 89, { onProgress: (done) => seen.push(done) });
    expect(faces.length).toBe(3 * 89 * 89 * 3);
    for (const i of [0, 1, 2])
      expect([...faces.subarray(i * 89 * 89 * 3).subarray(0, 3)]).toEqual([10 * (i + 1), 14, 0]);
    expect(seen).toEqual([3]);
    expect(await loadFaces([], 32)).toEqual(new Uint8Array());
  });

  it('names the file that cannot be decoded', async () => {
    const records = await readCelebA(folder);
    await writeFile(records[1]!.path, 'text, not a picture');
    await expect(loadFaces(records, 32)).rejects.toThrow(/000002\.png: expected a JPEG.* got a text file/);
    await rm(records[1]!.path);
    await expect(loadFaces(records, 32)).rejects.toThrow(/000002\.png: expected a readable file, got no such file/);
  });
});

const celebA = join(dataFolder(), 'celeba');
describe.skipIf(!existsSync(celebA))(
  `on the real data (skipped where UNIF2ACE_DATA or ../shared/data is absent)`,
  () => {
    let records: FaceRecord[];
    beforeAll(async () => {
      records = await readCelebA(celebA);
    });

    it('keeps identities apart and the splits near 80 : 10 : 10', () => {
      const splits = new Map<number, Set<string>>();
      for (const { identity, split } of records) splits.set(identity, (splits.get(identity) ?? new Set()).add(split));
      expect([...splits.values()].every((set) => set.size === 1)).toBe(true);
      for (const split of ['validation', 'test']) {
        const share = records.filter((record) => record.split === split).length / records.length;
        expect(share).toBeGreaterThan(0.09);
        expect(share).toBeLessThan(0.115);
      }
    });

    it('loads faces as faceCrop does, 200 in well under six seconds', async () => {
      const some = records.slice(0, 200);
      const start = performance.now();
      const faces = await loadFaces(some, 64);
      expect(performance.now() - start).toBeLessThan(6000);
      const bytes = 64 * 64 * 3;
      for (const i of [0, 117, 199])
        expect(faces.subarray(i * bytes, (i + 1) * bytes)).toEqual(faceCrop(await decodeImage(some[i]!.path), 64).data);
    });
  },
);
