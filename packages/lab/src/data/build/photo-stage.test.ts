import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { Philox } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import sharp from 'sharp';
import { afterAll, describe, expect, test } from 'vitest';
import { dataFolder } from '../celeba.ts';
import { buildDataset } from './build-dataset.ts';
import { hammingDistance, nearBits } from './duplicates.ts';
import { type DetectSettings, defaultDetectSettings, FaceWorkshop } from './photo-stage.ts';
import { recompress, writeTinyCelebA } from './test/tiny-celeba.ts';

const workshop = new FaceWorkshop(directRuntime(), null);
const look = (bytes: Uint8Array, settings: Partial<DetectSettings> = {}) =>
  workshop.photo(bytes, false, { ...defaultDetectSettings, ...settings });
const root = await mkdtemp(join(tmpdir(), 'photo-stage-'));
afterAll(async () => {
  await workshop.close();
  await rm(root, { recursive: true, force: true });
});

/** A PNG that announces a picture of 900 megapixels and holds next to nothing. */
function hugePng(): Uint8Array {
  const chunk = (type: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(30_000, 0);
  header.writeUInt32BE(30_000, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  const data = chunk('IDAT', deflateSync(Buffer.alloc(100)));
  return Buffer.concat([signature, chunk('IHDR', header), data, chunk('IEND', Buffer.alloc(0))]);
}

const noise = async () => {
  const random = new Philox(3);
  const data = Uint8Array.from({ length: 3 * 160 * 160 }, () => random.int(256));
  return sharp(data, { raw: { width: 160, height: 160, channels: 3 } })
    .jpeg()
    .toBuffer();
};

describe('a picture that is none, or shows no face', () => {
  test.each<[string, () => Promise<Uint8Array>, RegExp]>([
    ['empty', async () => new Uint8Array(), /expected .*got an empty file/],
    ['text', async () => Buffer.from('not a picture'), /expected .*got/],
    ['cut off', async () => (await noise()).subarray(0, 700), /expected .*got/],
    ['huge', async () => hugePng(), /expected .*(pixels|megapixels|side).*got/],
    ['noise', noise, /^expected a face, got none$/],
  ])('%s: one line says so', async (_, bytes, reason) => {
    const { faces, rejected } = await look(await bytes());
    expect(faces).toEqual([]);
    expect(rejected).toEqual([expect.stringMatching(reason)]);
    expect(rejected[0]).not.toContain('\n');
  });
});

const portraits = join(dataFolder(), 'portraits', 'female', '256');

describe.skipIf(!existsSync(portraits))('photos of faces (needs portraits)', async () => {
  const names = existsSync(portraits) ? (await readdir(portraits)).sort().slice(0, 2) : [];
  const [first, second] = await Promise.all(names.map((name) => readFile(join(portraits, name))));
  /** The first portrait large, the second at half its size. */
  const pair = async () =>
    sharp({ create: { width: 400, height: 256, channels: 3, background: '#888' } })
      .composite([
        { input: await sharp(second).resize(128).toBuffer(), left: 272, top: 60 },
        { input: first!, left: 0, top: 0 },
      ])
      .jpeg()
      .toBuffer();

  test('one face: aligned crop, box and five points', async () => {
    const { faces, rejected } = await look(first!);
    expect(rejected).toEqual([]);
    expect(faces).toHaveLength(1);
    const { width, height } = await sharp(faces[0]!.image).metadata();
    expect([width, height]).toEqual([defaultDetectSettings.size, defaultDetectSettings.size]);
    expect(faces[0]!.landmarks).toHaveLength(5);
  });

  test('several: the largest, all, or none of them', async () => {
    const photo = await pair();
    const largest = await look(photo);
    expect(largest.faces.map(({ index }) => index)).toEqual([1]);
    expect(largest.faces[0]!.box.x).toBeLessThan(200);
    const all = await look(photo, { faces: 'all' });
    expect(all.faces.map(({ index }) => index)).toEqual([1, 2]);
    expect(await look(photo, { faces: 'single' })).toEqual({ faces: [], rejected: ['expected one face, got 2'] });
  });

  test('too small, turned too far or blurred: each with its measure', async () => {
    const { rejected: small } = await look(first!, { minFacePixels: 250 });
    expect(small).toEqual([expect.stringMatching(/^expected a face of at least 250 pixels, got \d+$/)]);
    const { rejected: turned } = await look(first!, { maxYaw: 0 });
    expect(turned).toEqual([expect.stringMatching(/^expected a face turned by at most 0, got \d\.\d\d$/)]);
    const blurred = await sharp(first).blur(6).jpeg().toBuffer();
    const { rejected } = await look(blurred);
    expect(rejected).toEqual([expect.stringMatching(/^expected a sharpness of at least 4, got \d\.\d$/)]);
  });

  test('the look of a face stays near when a photo is recompressed and scaled, and is far from another', async () => {
    const again = await sharp(first).resize(200).jpeg({ quality: 50 }).toBuffer();
    const [a, b, c] = await Promise.all(
      [first!, again, second!].map(async (bytes) => (await look(bytes)).faces[0]!.hash),
    );
    expect(hammingDistance(a!, b!)).toBeLessThanOrEqual(nearBits);
    expect(hammingDistance(a!, c!)).toBeGreaterThan(2 * nearBits);
  });

  test('ages of UTKFace: children are left out where only adults are wanted', async () => {
    const folder = join(root, 'utk');
    await mkdir(folder);
    await writeFile(join(folder, '12_1_0_20170101000000000.jpg'), first!);
    await writeFile(join(folder, '34_1_0_20170101000000001.jpg'), second!);
    const build = (out: string, adultsOnly: boolean) =>
      buildDataset({ sources: [folder], out: join(root, out), classifierFolder: null, threads: 1, adultsOnly });
    expect((await build('everyone', false)).faces).toBe(2);
    const adults = await build('adults', true);
    expect(adults.faces).toBe(1);
    expect(adults.rejected).toEqual([
      expect.objectContaining({ stage: 'ingest', reason: 'expected an adult, got an age of 12', wanted: true }),
    ]);
  });
});

test('a near copy of a face is left out and names the first', async () => {
  for (const name of ['first', 'second']) await writeTinyCelebA(join(root, name), 3);
  await recompress(join(root, 'second', 'img_align_celeba', '000002.jpg'));
  const sources = [join(root, 'first'), join(root, 'second')];
  const { faces, rejected } = await buildDataset({
    sources,
    out: join(root, 'copies'),
    classifierFolder: null,
    threads: 1,
  });
  expect(faces).toBe(3);
  expect(rejected.map(({ name, reason, wanted }) => [name, reason, wanted])).toEqual([
    ['000001.jpg', 'expected a new photo, got the same bytes as 000001.jpg', true],
    ['000002.jpg', 'expected a new face, got nearly the same picture as 000002.jpg', true],
    ['000003.jpg', 'expected a new photo, got the same bytes as 000003.jpg', true],
  ]);
});
