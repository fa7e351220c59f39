import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ByteWriter, parquetWrite, parquetWriteBuffer } from 'hyparquet-writer';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Rejection, SourcePhoto } from '../build/types.ts';
import { isRejection } from './items.ts';
import { readLocator } from './locator.ts';
import { detectSource, openSource } from './open-source.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'unif2ace-sources-'));
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

const picture = (seed: number, length = 64) => Uint8Array.from({ length }, (_, i) => (seed * 37 + i * 11) & 255);

/** Writes files below the root; numbers stand for pictures. */
async function files(contents: Record<string, string | number | Uint8Array | object>): Promise<void> {
  for (const [name, content] of Object.entries(contents)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    const bytes =
      typeof content === 'number'
        ? picture(content)
        : typeof content === 'string' || content instanceof Uint8Array
          ? content
          : JSON.stringify(content);
    await writeFile(join(root, name), bytes);
  }
}

async function read(spec: string, name = 's'): Promise<{ photos: SourcePhoto[]; rejections: Record<string, string> }> {
  const photos: SourcePhoto[] = [];
  const rejections: Record<string, string> = {};
  for await (const item of openSource(spec, { name })) {
    if (isRejection(item)) rejections[item.name] = oneLine(item);
    else photos.push(item);
  }
  return { photos, rejections };
}

function oneLine({ source, stage, reason }: Rejection): string {
  expect(source).toBe('s');
  expect(stage).toBe('ingest');
  expect(reason).toMatch(/^expected .+, got .+$/);
  return reason;
}

const names = (photos: readonly SourcePhoto[]) => photos.map(({ name }) => name);

type Entry = [headers: string | Parameters<ReturnType<typeof pack>['entry']>[0], contents?: string | Uint8Array];

async function tar(name: string, entries: Entry[]): Promise<string> {
  const packer = pack();
  for (const [headers, contents = ''] of entries)
    packer.entry(typeof headers === 'string' ? { name: headers } : headers, Buffer.from(contents as Uint8Array));
  packer.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of packer) chunks.push(chunk as Buffer);
  await files({ [name]: Buffer.concat(chunks) });
  return join(root, name);
}

describe('WebDataset', () => {
  test('samples of several tars; bytes are read in place', async () => {
    const longName = `${'deep/'.repeat(40)}face.jpg`;
    await tar('set-000001.tar', [['b/1.png', picture(3)]]);
    await tar('set-000000.tar', [
      ['a1.jpg', picture(1, 700)],
      ['a1.json', '{"Smiling": true, "identity": "p7"}'],
      ['a1.txt', 'A face.\n'],
      ['a1.cls', '4'],
      [{ name: 'folder', type: 'directory' }],
      ['a2.seg.png', 'no picture of the key'],
      ['a2.webp', picture(2)],
      ['a2.cls', '9\n'],
      [longName, picture(5)],
    ]);
    for (const spec of [root, join(root, 'set-*.tar'), join(root, 'set-{000000..000001}.tar')]) {
      const { photos, rejections } = await read(spec);
      expect(rejections).toEqual({});
      expect(names(photos)).toEqual([
        'set-000000.tar/a1.jpg',
        'set-000000.tar/a2.webp',
        `set-000000.tar/${longName}`,
        'set-000001.tar/b/1.png',
      ]);
      expect(photos[0]).toMatchObject({ facts: { Smiling: true }, identity: 'p7', caption: 'A face.' });
      expect(photos[1]).toMatchObject({ facts: {}, identity: '9' });
      const bytes = await Promise.all(photos.map(({ locator }) => readLocator(locator)));
      expect(bytes).toEqual([picture(1, 700), picture(2), picture(5), picture(3)]);
    }
  });

  test('members that lead out of the tar, links and devices are rejected one by one', async () => {
    const path = await tar('x.tar', [
      ['../evil.jpg', picture(1)],
      ['/etc/evil.jpg', picture(1)],
      ['a/../../evil.jpg', picture(1)],
      ['C:\\evil.jpg', picture(1)],
      [{ name: 'link.jpg', type: 'symlink', linkname: '/etc/passwd' }],
      [{ name: 'hard.jpg', type: 'link', linkname: 'good.jpg' }],
      [{ name: 'null.jpg', type: 'character-device' }],
      ['good.jpg', picture(2)],
    ]);
    const { photos, rejections } = await read(path);
    expect(names(photos)).toEqual(['x.tar/good.jpg']);
    const outside = 'expected a name inside the tar, got one that leads out of it';
    expect(rejections).toEqual({
      'x.tar/../evil.jpg': outside,
      'x.tar//etc/evil.jpg': outside,
      'x.tar/a/../../evil.jpg': outside,
      'x.tar/C:\\\\evil.jpg': outside,
      'x.tar/link.jpg': 'expected a file, got a link',
      'x.tar/hard.jpg': 'expected a file, got a link',
      'x.tar/null.jpg': 'expected a file, got a device',
    });
  });

  test('samples without one picture, with bad notes, in pieces', async () => {
    const path = await tar('x.tar', [
      ['words.txt', 'no picture'],
      ['two.jpg', picture(1)],
      ['two.png', picture(1)],
      ['bad.jpg', picture(1)],
      ['bad.json', '{'],
      ['empty.jpg', ''],
      ['good.jpg', picture(1)],
      ['two.txt', 'late'],
      ['same.jpg', picture(1)],
      ['same.jpg', picture(2)],
    ]);
    const { photos, rejections } = await read(path);
    expect(names(photos)).toEqual(['x.tar/good.jpg', 'x.tar/same.jpg']);
    expect(rejections).toMatchObject({
      'x.tar/words': 'expected one picture, got 0 (members: txt)',
      'x.tar/two': 'expected one picture, got 2 (members: jpg, png)',
      'x.tar/empty.jpg': 'expected a picture, got an empty member',
      'x.tar/two.txt': 'expected the members of a key together, got "two" again',
      'x.tar/same.jpg': 'expected one member of this name, got a second',
    });
    expect(rejections['x.tar/bad.jpg']).toMatch(/^expected JSON in the JSON member/);
  });

  test('a tar cut off or damaged: what came before is kept, the next tar is read', async () => {
    const cut = await tar('a.tar', [
      ['1.jpg', picture(1, 1024)],
      ['2.jpg', picture(2, 1024)],
      ['3.jpg', picture(3, 1024)],
    ]);
    await truncate(cut, 2 * 1536 + 512 + 100);
    await tar('b.tar', [['4.jpg', picture(4)]]);
    const unmarked = await tar('c.tar', [['5.jpg', picture(5)]]);
    await truncate(unmarked, 1024);
    const { photos, rejections } = await read(root);
    expect(names(photos)).toEqual(['a.tar/1.jpg', 'b.tar/4.jpg']);
    expect(rejections).toEqual({
      'a.tar/2': 'expected a whole sample, got the damaged end of a tar',
      'a.tar': 'expected 1024 bytes of contents at byte 3584, got 100 (cut off?)',
      'c.tar/5': 'expected a whole sample, got the damaged end of a tar',
      'c.tar': 'expected a member or the end mark at byte 1024, got the end of the file (cut off?)',
    });
    await files({ 'b.tar': 'x'.repeat(2048) });
    expect((await read(join(root, 'b.tar'))).rejections['b.tar']).toMatch(
      /^expected an octal number|^expected a tar header/,
    );
  });

  test('a tar packed by gzip: one clear line', async () => {
    const plain = await tar('a.tar', [['1.jpg', picture(1)]]);
    await files({ 'b.tar': gzipSync(await readFile(plain)) });
    await expect(read(root)).rejects.toThrow(/b\.tar: expected a plain tar, got one packed by gzip; try gunzip first/);
    await files({ 'c.tar.gz': gzipSync(await readFile(plain)) });
    await expect(read(join(root, 'c.tar.gz'))).rejects.toThrow('packed by gzip');
  });
});

describe('Parquet', () => {
  const struct = (count: number) => Array.from({ length: count }, (_, i) => ({ bytes: picture(i), path: `${i}.jpg` }));

  test('image structs, labels and captions, over several row groups and files', async () => {
    const writer = new ByteWriter();
    parquetWrite({
      writer,
      rowGroupSize: 4,
      columnData: [
        { name: 'image', data: struct(10) },
        { name: 'text', data: Array.from({ length: 10 }, (_, i) => (i % 2 ? `Face ${i}.` : null)) },
        { name: 'Smiling', data: Array.from({ length: 10 }, (_, i) => i % 2 === 0) },
        { name: 'Wearing_Hat', data: Array.from({ length: 10 }, (_, i) => (i % 2 ? 1 : -1)) },
        { name: 'identity', data: Array.from({ length: 10 }, (_, i) => BigInt(i % 3)) },
        { name: 'age', data: Array.from({ length: 10 }, (_, i) => (i === 5 ? 300 : 30 + i)) },
        { name: 'race', data: Array.from({ length: 10 }, () => 2) },
      ],
      schema: [
        { name: 'root', num_children: 7 },
        { name: 'image', repetition_type: 'OPTIONAL', num_children: 2 },
        { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
        { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
        { name: 'text', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
        { name: 'Smiling', type: 'BOOLEAN', repetition_type: 'OPTIONAL' },
        { name: 'Wearing_Hat', type: 'INT32', repetition_type: 'OPTIONAL' },
        { name: 'identity', type: 'INT64', repetition_type: 'OPTIONAL' },
        { name: 'age', type: 'INT32', repetition_type: 'OPTIONAL' },
        { name: 'race', type: 'INT32', repetition_type: 'OPTIONAL' },
      ],
    });
    await files({ 'p/a.parquet': writer.getBytes(), 'p/broken.parquet': 'PAR1 and nothing more' });
    expect(await detectSource(join(root, 'p'))).toBe('parquet');
    const { photos, rejections } = await read(join(root, 'p'));
    expect(photos).toHaveLength(9);
    expect(photos[3]).toEqual({
      source: 's',
      name: 'a.parquet/000000003',
      locator: { path: join(root, 'p/a.parquet'), cell: { column: 'image', row: 3 } },
      facts: { Smiling: false, Wearing_Hat: true },
      identity: '0',
      ageYears: 33,
      caption: 'Face 3.',
    });
    expect(photos[0]).not.toHaveProperty('caption');
    const bytes = await Promise.all(photos.map(({ locator }) => readLocator(locator)));
    expect(bytes).toEqual([0, 1, 2, 3, 4, 6, 7, 8, 9].map((i) => picture(i)));
    expect(rejections['a.parquet/000000005']).toBe('expected an age of 0–116 in column age, got "300"');
    expect(rejections['broken.parquet']).toMatch(/^expected a Parquet file, got /);
  });

  test('a column of bytes; cells that are empty or missing', async () => {
    const data = [picture(1), null, picture(2)];
    await files({
      'a.parquet': new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'jpg', data, type: 'BYTE_ARRAY' }] })),
    });
    const path = join(root, 'a.parquet');
    const { photos } = await read(path);
    expect(photos).toHaveLength(3);
    expect(await readLocator(photos[2]!.locator)).toEqual(picture(2));
    await expect(readLocator(photos[1]!.locator)).rejects.toThrow('expected bytes in column jpg, row 1, got none');
    await expect(readLocator({ path, cell: { column: 'jpg', row: 9 } })).rejects.toThrow('expected row 9, got 3 rows');
  });

  test('no pictures, or no Parquet: one line', async () => {
    await files({
      'a.parquet': new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'text', data: ['a'], type: 'STRING' }] })),
      'b.parquet': 'words',
    });
    await expect(read(join(root, 'a.parquet'))).rejects.toThrow(/expected a column image .+, got text; try/);
    await expect(read(join(root, 'b.parquet'))).rejects.toThrow(/b\.parquet: expected a Parquet file, got .+; try/);
  });
});

describe('readLocator', () => {
  test('bounds, parts cut off, missing files', async () => {
    await files({ 'a.jpg': 1 });
    const path = join(root, 'a.jpg');
    expect(await readLocator({ path })).toEqual(picture(1));
    expect(await readLocator({ path, range: { offset: 10, length: 5 } })).toEqual(picture(1).slice(10, 15));
    await expect(readLocator({ path }, { maxBytes: 63 })).rejects.toThrow(/a photo of at most 63 bytes, got 64; try/);
    await expect(readLocator({ path, range: { offset: 60, length: 9 } })).rejects.toThrow(
      'expected 9 bytes at 60, got 4',
    );
    await expect(readLocator({ path: join(root, 'b.jpg') })).rejects.toThrow('expected a photo, got none; try');
    await expect(readLocator({ path: root })).rejects.toThrow('expected a file, got something else');
  });
});
