import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Rejection, SourcePhoto } from '../build/types.ts';
import { dataFolder } from '../celeba.ts';
import { attributeNames } from '../grammar/attributes.ts';
import { actionLabels, appearanceLabels, emotionLabels } from './celebvhq-labels.ts';
import { isRejection } from './items.ts';
import { readLocator } from './locator.ts';
import { detectSource, openSource, openSources } from './open-source.ts';

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

describe('plain folder', () => {
  test('recursive, in code-unit order, with captions and facts beside', async () => {
    await files({
      'b.jpg': 1,
      'a/2.PNG': 2,
      'a/10.webp': 3,
      'B.tiff': 4,
      'notes.md': '# not a photo',
      '.hidden.jpg': 5,
      'b.txt': ' A smiling man.\n',
      'b.json': { attributes: { smiling: true, 'Wearing Hat': 0 }, Male: 1, race: 3, identity: 12, age: 31 },
      'a/2.json': { facts: ['Bald', 'unknown thing'], caption: 'From JSON.' },
    });
    const { photos, rejections } = await read(root);
    expect(names(photos)).toEqual(['B.tiff', 'a/10.webp', 'a/2.PNG', 'b.jpg']);
    expect(rejections).toEqual({});
    expect(photos[3]).toEqual({
      source: 's',
      name: 'b.jpg',
      locator: { path: join(root, 'b.jpg') },
      facts: { Male: true, Smiling: true, Wearing_Hat: false },
      identity: '12',
      ageYears: 31,
      caption: 'A smiling man.',
    });
    expect(photos[2]).toMatchObject({ facts: { Bald: true }, caption: 'From JSON.' });
    expect(photos[0]).toEqual({ source: 's', name: 'B.tiff', locator: { path: join(root, 'B.tiff') }, facts: {} });
  });

  test('bad files are rejected, the rest is read', async () => {
    await files({
      'good.jpg': 1,
      'empty.jpg': '',
      'json.jpg': 1,
      'json.json': '{"Male": tru',
      'list.jpg': 1,
      'list.json': [1, 2],
      'value.jpg': 1,
      'value.json': { Male: 'perhaps' },
      'age.jpg': 1,
      'age.json': { age: -3 },
      'person.jpg': 1,
      'person.json': { identity: { first: 'A' } },
      'caption.jpg': 1,
      'caption.txt': Uint8Array.of(0xff, 0xfe, 0x41),
      'long.jpg': 1,
      'long.txt': 'x'.repeat((1 << 20) + 1),
    });
    const { photos, rejections } = await read(root);
    expect(names(photos)).toEqual(['good.jpg']);
    expect(rejections).toMatchObject({
      'empty.jpg': 'expected a picture, got an empty file',
      'list.jpg': 'expected an object in list.json, got [1,2]',
      'value.jpg': 'expected true or false for Male in value.json, got "perhaps"',
      'age.jpg': 'expected an age of 0–116 in age.json, got -3',
      'person.jpg': 'expected an identity as text or number in person.json, got {"first":"A"}',
      'caption.jpg': 'expected UTF-8 in caption.txt, got other bytes',
      'long.jpg': 'expected at most 1048576 bytes in long.txt, got 1048577',
    });
    expect(rejections['json.jpg']).toMatch(/^expected JSON in json.json, got /);
  });

  test('loops of links end, links that lead nowhere are reported', async () => {
    await files({ 'a/1.jpg': 1, 'a/b/2.jpg': 2 });
    await symlink(join(root, 'a'), join(root, 'a', 'b', 'up'));
    await symlink(join(root, 'a', '1.jpg'), join(root, 'z.jpg'));
    await symlink(join(root, 'nowhere'), join(root, 'broken.jpg'));
    const { photos, rejections } = await read(root);
    expect(names(photos)).toEqual(['a/1.jpg', 'a/b/2.jpg', 'z.jpg']);
    expect(rejections).toEqual({
      'a/b/up/': 'expected a folder not read yet, got a link to a/',
      'broken.jpg': 'expected a link that leads somewhere, got ENOENT',
    });
  });

  test.skipIf(process.getuid?.() === 0)('a folder that cannot be read is reported and the run goes on', async () => {
    await files({ 'a/1.jpg': 1, 'locked/2.jpg': 2, 'z/3.jpg': 3 });
    await chmod(join(root, 'locked'), 0);
    const { photos, rejections } = await read(root);
    await chmod(join(root, 'locked'), 0o755);
    expect(names(photos)).toEqual(['a/1.jpg', 'z/3.jpg']);
    expect(rejections).toEqual({ locked: 'expected a folder that can be read, got EACCES' });
  });

  test('sources with the same file names are kept apart', async () => {
    await files({ 'x/faces/1.jpg': 1, 'y/faces/1.jpg': 2 });
    const items: string[] = [];
    for await (const item of openSources([
      join(root, 'x/faces'),
      join(root, 'y/faces'),
      { spec: join(root, 'x'), name: 'all' },
    ]))
      items.push(`${item.source}:${item.name}`);
    expect(items).toEqual(['faces:1.jpg', 'faces-2:1.jpg', 'all:faces/1.jpg']);
  });

  test('missing and empty sources: one line', async () => {
    await mkdir(join(root, 'empty'));
    await files({ 'words.txt': 'no' });
    await expect(read(join(root, 'none'))).rejects.toThrow(/^openSource: expected .+, got nothing at \S+; try .+$/);
    await expect(read(join(root, 'empty'))).rejects.toThrow(
      /^openSource: expected photos in \S+ \(read as folder\), got none; try .+$/,
    );
    await expect(read(`webdataset:${join(root, 'empty')}`)).rejects.toThrow(
      /expected \.tar files in \S+, got none; try/,
    );
    await expect(read(`folder:${join(root, 'words.txt')}`)).rejects.toThrow('expected a folder, got the file');
    await expect(read(join(root, 'words.txt'))).rejects.toThrow(/^openSource: expected a folder, .tar/);
    await expect(read(join(root, 'part-*.tar'))).rejects.toThrow('got nothing at');
  });
});

describe('CelebA layout', () => {
  test('all labels as they are, the person, missing pictures rejected', async () => {
    const row = (file: string, yes: string[]) =>
      `${file} ${attributeNames.map((name) => (yes.includes(name) ? '1' : '-1')).join(' ')}`;
    await files({
      'img_align_celeba/000001.jpg': 1,
      'list_attr_celeba.txt': `2\n${attributeNames.join(' ')}\n${row('000001.jpg', ['Male', 'Attractive'])}\n${row('000002.jpg', [])}\n`,
      'identity_CelebA.txt': '000001.jpg 77\n000002.jpg 78\n',
    });
    expect(await detectSource(root)).toBe('celeba');
    const { photos, rejections } = await read(root);
    expect(photos).toHaveLength(1);
    expect(photos[0]).toMatchObject({
      name: '000001.jpg',
      identity: '77',
      facts: { Male: true, Attractive: true, Bald: false },
    });
    expect(Object.keys(photos[0]!.facts)).toHaveLength(attributeNames.length);
    expect(rejections).toEqual({ '000002.jpg': 'expected the picture in img_align_celeba/, got none' });
  });
});

describe('UTKFace', () => {
  test('gender and age from the name, race from nothing', async () => {
    await files({
      'part/19_0_2_20170116174525125.jpg': 1,
      'part/40_1_0_20170116174525125.jpg.chip.jpg': 2,
      'part/70_1_4_20170116174525125.jpg': 3,
      'part/61_1_20170109142408075.jpg': 4,
      'part/39_3_1_20170109142408075.jpg': 5,
      'part/200_0_1_20170109142408075.jpg': 6,
    });
    expect(await detectSource(root)).toBe('utkface');
    const { photos, rejections } = await read(root);
    expect(photos.map(({ facts, ageYears, identity }) => ({ facts, ageYears, identity }))).toEqual([
      { facts: { Male: true, Young: true }, ageYears: 19, identity: undefined },
      { facts: { Male: false }, ageYears: 40, identity: undefined },
      { facts: { Male: false, Young: false }, ageYears: 70, identity: undefined },
    ]);
    expect(Object.keys(rejections)).toEqual([
      'part/200_0_1_20170109142408075.jpg',
      'part/39_3_1_20170109142408075.jpg',
      'part/61_1_20170109142408075.jpg',
    ]);
  });

  test('photos that differ in the digit of race alone say the same', async () => {
    await files({ '30_0_0_20170116174525125.jpg': 1, '30_0_3_20170116174525125.jpg': 1 });
    const [a, b] = (await read(`utkface:${root}`)).photos;
    expect({ ...a, name: '', locator: '' }).toEqual({ ...b, name: '', locator: '' });
  });
});

describe('CelebV-HQ', () => {
  const appearance = Object.keys(appearanceLabels);
  const actions = Object.keys(actionLabels);
  const clip = (ones: string[], emotion: unknown, video = 'M2Ohb0FAaJU') => ({
    ytb_id: video,
    duration: { start_sec: 81.62, end_sec: 86.17 },
    bbox: { top: 0, bottom: 0.8815, left: 0.1964, right: 0.6922 },
    attributes: {
      appearance: appearance.map((label) => Number(ones.includes(label))),
      action: actions.map((label) => Number(ones.includes(label))),
      emotion: { sep_flag: Array.isArray(emotion), labels: emotion },
    },
    version: 'v0.1',
  });
  const json = (clips: object, mapping = appearance) => ({
    meta_info: { appearance_mapping: mapping, action_mapping: actions },
    clips,
  });

  test('the table has the 83 labels', () => {
    expect([appearanceLabels, actionLabels, emotionLabels].map((labels) => Object.keys(labels).length)).toEqual([
      40, 35, 8,
    ]);
    const attributes = [appearanceLabels, actionLabels, emotionLabels].flatMap((labels) => Object.values(labels));
    expect(new Set(attributes).size).toBe(83);
  });

  test('frames get the labels of their clip', async () => {
    await files({
      'celebvhq_info.json': json({
        M2Ohb0FAaJU_1: clip(['Blonde_Hair', 'Young', 'smile', 'close_eyes'], 'happy'),
        _0tf2n3rlJU_0: clip(
          ['Male'],
          [
            { emotion: 'neutral', start_sec: 0, end_sec: 0.28 },
            { emotion: 'happy', start_sec: 1.28, end_sec: 3.28 },
          ],
          '_0tf2n3rlJU',
        ),
      }),
      'frames/M2Ohb0FAaJU_1.jpg': 1,
      'frames/M2Ohb0FAaJU_1_07.jpg': 2,
      'frames/_0tf2n3rlJU_0_3.png': 3,
      'frames/unknown_4.jpg': 4,
    });
    expect(await detectSource(root)).toBe('celebvhq');
    const { photos, rejections } = await read(root);
    expect(names(photos)).toEqual([
      'frames/M2Ohb0FAaJU_1.jpg',
      'frames/M2Ohb0FAaJU_1_07.jpg',
      'frames/_0tf2n3rlJU_0_3.png',
    ]);
    const [first, second, third] = photos as (SourcePhoto & { facts: Record<string, boolean> })[];
    expect(first).toMatchObject({
      identity: 'M2Ohb0FAaJU',
      facts: { Blond_Hair: true, Young: true, Smiling: true, Eyes_Closed: true, Happy: true, Sad: false, Male: false },
    });
    expect(Object.keys(first!.facts)).toHaveLength(83);
    expect(second!.facts).toEqual(first!.facts);
    expect(third!.facts).toMatchObject({ Male: true, Angry: false });
    expect(third!.facts).not.toHaveProperty('Neutral');
    expect(third!.facts).not.toHaveProperty('Happy');
    expect(rejections).toEqual({ 'frames/unknown_4.jpg': 'expected a clip of the JSON file, got "unknown_4"' });
    expect((await read(join(root, 'celebvhq_info.json'))).photos).toEqual(photos);
  });

  test('damaged clips and unknown labels', async () => {
    const short = clip([], 'neutral');
    short.attributes.appearance.pop();
    const two = clip([], 'neutral');
    two.attributes.action[0] = 2;
    await files({
      'info.json': json({ short, two, mood: clip([], 'hungry'), none: clip([], []), ok: clip([], 'neutral') }, [
        ...appearance.slice(0, 39),
        'Third_Eye',
      ]),
      'mood.jpg': 1,
      'none.jpg': 1,
      'ok.jpg': 1,
      'short.jpg': 1,
      'two.jpg': 1,
    });
    const { photos, rejections } = await read(root);
    expect(names(photos)).toEqual(['ok.jpg']);
    expect(rejections).toEqual({
      'meta_info/Third_Eye': 'expected a label of CelebV-HQ, got "Third_Eye"; it is passed over',
      'short.jpg': 'expected 40 appearance labels, got 39',
      'two.jpg': 'expected action labels 0 or 1, got 2',
      'mood.jpg': 'expected an emotion of CelebV-HQ, got "hungry"',
      'none.jpg': 'expected at least one emotion, got none',
    });
  });

  test('a file of another form: one line', async () => {
    await files({ 'info.json': '{"meta_info": {"appearance_mapping": [', 'a.jpg': 1 });
    await expect(read(root)).rejects.toThrow(
      /^\S+info\.json: expected JSON, got .+; try the file as CelebV-HQ publishes it$/,
    );
    await files({ 'info.json': { meta_info: { appearance_mapping: 'x' }, clips: {} } });
    await expect(read(root)).rejects.toThrow('expected meta_info.appearance_mapping as a list of labels, got "x"');
  });
});

describe('FFHQ features', () => {
  const face = (attributes: object, size = 100) => ({
    faceRectangle: { width: size, height: size },
    faceAttributes: attributes,
  });

  test('thresholds: clear scores are facts, the rest is left out', async () => {
    await files({
      'json/00000.json': [
        face({ gender: 'female', smile: 0 }, 10),
        face({
          smile: 1,
          gender: 'male',
          age: 22,
          facialHair: { moustache: 0.4, beard: 0.1, sideburns: 0.6 },
          glasses: 'Sunglasses',
          emotion: {
            anger: 0,
            contempt: 0,
            disgust: 0,
            fear: 0,
            happiness: 0.99,
            neutral: 0.3,
            sadness: 0,
            surprise: 0,
          },
          blur: { blurLevel: 'low', value: 0 },
          makeup: { eyeMakeup: true, lipMakeup: false },
          accessories: [{ type: 'headWear', confidence: 0.99 }],
          hair: {
            bald: 0.02,
            invisible: false,
            hairColor: [
              { color: 'brown', confidence: 1 },
              { color: 'black', confidence: 0.6 },
            ],
          },
        }),
      ],
      'json/00001.json': [],
      'json/00002.json': [face({ smile: 7 })],
      'json/00003.json': { smile: 1 },
      'images/00000/00000.png': 1,
      'images/00000/00001.png': 2,
      'images/00000/00002.png': 3,
      'images/00000/00003.png': 3,
      'images/00000/00004.png': 4,
    });
    expect(await detectSource(root)).toBe('ffhq');
    const { photos, rejections } = await read(root);
    expect(names(photos)).toEqual(['images/00000/00000.png']);
    expect(photos[0]!.ageYears).toBe(22);
    expect(photos[0]!.facts).toEqual({
      Male: true,
      Young: true,
      Smiling: true,
      Sideburns: true,
      No_Beard: true,
      Bald: false,
      Blond_Hair: false,
      Brown_Hair: true,
      Gray_Hair: false,
      Sunglasses: true,
      Blurry: false,
      Wearing_Lipstick: false,
      Wearing_Hat: true,
      Wearing_Mask: false,
      Angry: false,
      Contemptuous: false,
      Disgusted: false,
      Afraid: false,
      Happy: true,
      Sad: false,
      Surprised: false,
    });
    expect(rejections).toEqual({
      'images/00000/00001.png': 'expected a face with attributes in 00001.json, got 0 without',
      'images/00000/00002.png': 'expected a score of 0–1 for Smiling in 00002.json, got 7',
      'images/00000/00003.png': 'expected a list of faces in 00003.json, got {"smile":1}',
      'images/00000/00004.png': 'expected a file 00004.json that can be read, got ENOENT',
    });
  });
});

describe('real data', () => {
  const celeba = join(dataFolder(), 'celeba');
  const utkFace = join(dataFolder(), 'utkface');
  const portraits = join(dataFolder(), 'portraits');

  test.skipIf(!existsSync(celeba))('CelebA', async () => {
    const { photos, rejections } = await read(celeba);
    expect(rejections).toEqual({});
    expect(photos.length).toBeGreaterThan(1000);
    expect((await readLocator(photos[0]!.locator)).subarray(0, 2)).toEqual(Uint8Array.of(0xff, 0xd8));
  });

  test.skipIf(!existsSync(utkFace))('UTKFace', async () => {
    expect(await detectSource(utkFace)).toBe('utkface');
    const { photos } = await read(utkFace);
    expect(photos.length).toBeGreaterThan(1000);
    expect(photos.every(({ facts, ageYears }) => 'Male' in facts && ageYears !== undefined)).toBe(true);
  });

  test.skipIf(!existsSync(portraits))('portraits in folders', async () => {
    const { photos, rejections } = await read(portraits);
    expect(rejections).toEqual({});
    expect(new Set(names(photos)).size).toBe(photos.length);
  });
});
