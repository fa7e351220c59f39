import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DuckDBBlobValue, DuckDBInstance } from '@duckdb/node-api';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { extract } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DatasetRecord, QuestionKind, RecordQuestion, Split } from '../build/types.ts';
import { isRejection } from '../sources/items.ts';
import { readLocator } from '../sources/locator.ts';
import { openSource } from '../sources/open-source.ts';
import { type ExportOptions, exportDataset } from './export-dataset.ts';

/** Bytes that fit on the disk of a test; undefined: as many as there are. */
const room = vi.hoisted(() => ({ bytes: undefined as number | undefined }));

vi.mock('node:fs/promises', async (load) => {
  const real = await load<typeof import('node:fs/promises')>();
  return {
    ...real,
    open: async (...args: Parameters<typeof real.open>) => {
      const file = await real.open(...args);
      const write = file.write.bind(file) as (bytes: Uint8Array, offset?: number) => Promise<{ bytesWritten: number }>;
      const limited = async (bytes: Uint8Array, offset = 0) => {
        if (room.bytes !== undefined) room.bytes -= bytes.length - offset;
        if (room.bytes !== undefined && room.bytes < 0)
          throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
        return write(bytes, offset);
      };
      return Object.assign(file, { write: limited });
    },
  };
});

const options: ExportOptions = {
  title: 'Faces: "a test"',
  version: '1.2.0',
  description: 'Made by rule.',
  sources: [{ name: 'celeba', terms: 'non-commercial research', url: 'https://example.org/celeba' }],
  stageVersions: { captions: 'grammar 3' },
};

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'unif2ace-export-'));
});

afterEach(async () => {
  room.bytes = undefined;
  await rm(root, { recursive: true, force: true });
});

async function readTable(path: string): Promise<Record<string, unknown>[]> {
  const file = await asyncBufferFromFile(path);
  return parquetReadObjects({ file, utf8: false });
}

async function query(sql: string): Promise<Record<string, unknown>[]> {
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  try {
    const reader = await connection.runAndReadAll(sql);
    return reader.getRowObjects() as Record<string, unknown>[];
  } finally {
    connection.closeSync();
  }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function hashes(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const pairs = files.sort().map(async (path) => {
    const hash = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    return [path.slice(folder.length + 1), hash] as const;
  });
  return Object.fromEntries(await Promise.all(pairs));
}

async function tarMembers(path: string): Promise<Map<string, { bytes: Buffer; mtime: number; uid: number }>> {
  const members = new Map<string, { bytes: Buffer; mtime: number; uid: number }>();
  const extractor = extract();
  extractor.end(await readFile(path));
  for await (const entry of extractor) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    const { name, mtime, uid } = entry.header;
    members.set(name, { bytes: Buffer.concat(chunks), mtime: mtime!.getTime(), uid: uid! });
  }
  return members;
}

describe('exportDataset', () => {
  test('hyparquet reads every field back', async () => {
    const folder = join(root, 'set');
    const summary = await exportDataset(questionRows(250, 3), folder, { ...options, facesPerShard: 64 });
    expect(summary).toMatchObject({
      folder,
      faces: 250,
      questions: 750,
      counts: { faces: { test: 25, validation: 25 } },
    });
    expect((await readdir(join(folder, 'data'))).sort()).toEqual([
      'test-00000-of-00001.parquet',
      'train-00000-of-00004.parquet',
      'train-00001-of-00004.parquet',
      'train-00002-of-00004.parquet',
      'train-00003-of-00004.parquet',
      'validation-00000-of-00001.parquet',
    ]);
    const rows = await readTable(join(folder, 'data', 'test-00000-of-00001.parquet'));
    expect(rows).toHaveLength(25);
    for (const [i, row] of rows.entries()) {
      const record = recordNumber(i * 10, 3);
      expect(row).toEqual({
        id: record.id,
        image: { bytes: record.image, path: `${record.id}.jpg` },
        source: record.source,
        name: record.name,
        identity: record.identity,
        split: 'test',
        age_years: record.ageYears,
        width: 64,
        height: 64,
        box: record.box,
        landmarks: record.landmarks,
        facts_true: Object.keys(record.facts).filter((name) => record.facts[name as 'Male']),
        facts_false: Object.keys(record.facts).filter((name) => !record.facts[name as 'Male']),
        fact_sources: [
          { attribute: 'Smiling', from: 'label', probability: 1 },
          { attribute: 'Young', from: 'classifier', probability: 0.97 },
        ],
        captions: record.captions,
        prompts: record.prompts,
        questions: record.questions,
      });
    }
  });

  test('DuckDB counts rows and finds nested fields and picture bytes equal', async () => {
    const folder = join(root, 'set');
    await exportDataset(questionRows(250, 3), folder, { ...options, facesPerShard: 64 });
    const faces = `read_parquet('${folder}/data/*.parquet')`;
    const [counts] = await query(
      `select count(*) as faces, count(distinct id) as ids, sum(len(questions)) as questions, sum(octet_length(image.bytes)) as bytes,
       count(identity) as persons, sum(len(landmarks)) as points from ${faces}`,
    );
    expect(counts).toEqual({ faces: 250n, ids: 250n, questions: 750n, bytes: 100_000n, persons: 84n, points: 1250n });

    const record = recordNumber(123, 3);
    const [row] = await query(
      `select image.bytes as bytes, image.path as path, box.height as height, landmarks[2].y as y, questions[2].question as question,
       questions[1].evidence as evidence, captions[1] as caption, facts_false from ${faces} where id = '${record.id}'`,
    );
    expect(Uint8Array.from((row!.bytes as DuckDBBlobValue).bytes)).toEqual(record.image);
    expect(row).toMatchObject({
      path: `${record.id}.jpg`,
      height: 60.25,
      y: 5.5,
      question: record.questions[1]!.question,
      evidence: { items: record.questions[0]!.evidence },
      caption: record.captions[0],
      facts_false: { items: ['Smiling', 'Male'] },
    });
    const joined = await query(
      `select q.image_id from read_parquet('${folder}/questions/*.parquet') q anti join ${faces} f on q.image_id = f.id`,
    );
    expect(joined).toEqual([]);
  });

  test('20,000 questions come back in order, by both readers', async () => {
    const folder = join(root, 'set');
    await exportDataset(questionRows(1000, 20), folder, { ...options, questionsPerShard: 6000, webDataset: false });
    const files = (await readdir(join(folder, 'questions'))).filter((name) => name.startsWith('train')).sort();
    expect(files.at(-1)).toBe('train-00002-of-00003.parquet');
    const rows = (await Promise.all(files.map((name) => readTable(join(folder, 'questions', name))))).flat();
    const expected = Array.from({ length: 1000 }, (_, i) => recordNumber(i, 20))
      .filter(({ split }) => split === 'train')
      .flatMap(({ id, questions }) => questions.map((question) => ({ image_id: id, ...question, split: 'train' })));
    expect(rows).toEqual(expected);

    const [counts] = await query(
      `select count(*) as n, sum(len(evidence)) as evidence, count(distinct question) as texts,
       count(*) filter (kind = 'unanswerable') as unanswerable from read_parquet('${folder}/questions/train-*.parquet')`,
    );
    expect(counts).toEqual({
      n: 16_000n,
      evidence: BigInt(expected.reduce((sum, { evidence }) => sum + evidence.length, 0)),
      texts: BigInt(new Set(expected.map(({ question }) => question)).size),
      unanswerable: BigInt(expected.filter(({ kind }) => kind === 'unanswerable').length),
    });
  });

  test("the metadata for Hugging Face's loader names every column, the picture as Image", async () => {
    const folder = join(root, 'set');
    await exportDataset(questionRows(12, 1), folder, options);
    const path = join(folder, 'data', 'train-00000-of-00001.parquet');
    const metadata = await parquetMetadataAsync(await asyncBufferFromFile(path));
    const value = metadata.key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
    const { features } = JSON.parse(value!).info;
    const columns = metadata.schema.slice(1).filter(({ name }) => name in features);
    expect(Object.keys(features)).toEqual(expect.arrayContaining(columns.map(({ name }) => name)));
    expect(Object.keys(features)).toHaveLength(metadata.schema[0]!.num_children!);
    expect(features.image).toEqual({ _type: 'Image' });
    expect(features.captions).toEqual([{ dtype: 'string', _type: 'Value' }]);
    expect(features.questions[0].evidence).toEqual([{ dtype: 'string', _type: 'Value' }]);
    expect(features.box.x).toEqual({ dtype: 'float64', _type: 'Value' });
  });

  test('tars are read by tar-stream and by the WebDataset source', async () => {
    const folder = join(root, 'set');
    await exportDataset(questionRows(30, 2), folder, { ...options, facesPerShard: 10 });
    expect((await readdir(join(folder, 'webdataset'))).sort()).toEqual([
      'test-000000.tar',
      'train-000000.tar',
      'train-000001.tar',
      'train-000002.tar',
      'validation-000000.tar',
    ]);
    const members = await tarMembers(join(folder, 'webdataset', 'test-000000.tar'));
    expect(members.size).toBe(9);
    const record = recordNumber(10, 2);
    expect(members.get(`${record.id}.jpg`)).toEqual({ bytes: Buffer.from(record.image), mtime: 0, uid: 0 });
    expect(members.get(`${record.id}.txt`)!.bytes.toString()).toBe(record.captions[0]);
    const { image: _image, ...notes } = record;
    expect(JSON.parse(members.get(`${record.id}.json`)!.bytes.toString())).toEqual(notes);

    const photos = await all(openSource(join(folder, 'webdataset')));
    expect(photos).toHaveLength(30);
    const photo = photos.find(({ name }) => name.includes(record.id))!;
    if (isRejection(photo)) throw new Error(photo.reason);
    expect(photo).toMatchObject({
      facts: record.facts,
      caption: record.captions[0],
    });
    expect(await readLocator(photo.locator)).toEqual(record.image);
  });

  test('the Parquet source reads the export back', async () => {
    const folder = join(root, 'set');
    await exportDataset(questionRows(30, 2), folder, options);
    const photos = await all(openSource(join(folder, 'data')));
    expect(photos).toHaveLength(30);
    const [photo] = photos;
    if (!photo || isRejection(photo)) throw new Error('expected a photo');
    const record = recordNumber(0, 2);
    expect(photo).toMatchObject({ facts: record.facts, identity: '0', ageYears: 20, caption: record.captions[0] });
    expect(await readLocator(photo.locator)).toEqual(record.image);
  });

  test('the same records give the same bytes, and the manifest and card name them', async () => {
    await exportDataset(questionRows(120, 4), join(root, 'a'), { ...options, facesPerShard: 50 });
    await exportDataset(questionRows(120, 4), join(root, 'b'), { ...options, facesPerShard: 50 });
    const before = await hashes(join(root, 'a'));
    expect(await hashes(join(root, 'b'))).toEqual(before);
    await exportDataset(questionRows(120, 4), join(root, 'a'), { ...options, facesPerShard: 50 });
    expect(await hashes(join(root, 'a'))).toEqual(before);
    expect((await readdir(root)).sort()).toEqual(['a', 'b']);

    const manifest = JSON.parse(await readFile(join(root, 'a', 'dataset.json'), 'utf8'));
    const card = await readFile(join(root, 'a', 'README.md'), 'utf8');
    expect(manifest.card.sha256).toBe(before['README.md']);
    expect(manifest.files).toHaveLength(Object.keys(before).length - 2);
    for (const { path, sha256 } of manifest.files) {
      expect(sha256).toBe(before[path]);
      expect(card).toContain(sha256);
    }
    const rows = (folder: string) =>
      manifest.files
        .filter(({ path }: { path: string }) => path.startsWith(folder))
        .reduce((sum: number, file: { rows: number }) => sum + file.rows, 0);
    expect([rows('data/'), rows('questions/'), rows('webdataset/')]).toEqual([120, 480, 120]);
  });

  test('the card has front matter for the hub, the terms of each source and the counts', async () => {
    const folder = join(root, 'set');
    await exportDataset(questionRows(20, 3), folder, options);
    const card = await readFile(join(folder, 'README.md'), 'utf8');
    expect(card.startsWith('---\npretty_name: "Faces: \\"a test\\""\nlicense: other\n')).toBe(true);
    expect(card).toContain('- split: validation\n    path: data/validation-*.parquet');
    expect(card).toContain('- n<1K');
    expect(card).toContain('| celeba | 7 | non-commercial research | https://example.org/celeba |  |');
    expect(card).toContain('| portraits | 13 | **not stated: ask before use** |');
    expect(card).toContain('| train | 16 | 48 |');
    expect(card).toContain('| captions | grammar 3 |');
  });

  test('faces without identity, age, facts, captions or questions', async () => {
    const folder = join(root, 'set');
    const bare: DatasetRecord = {
      ...recordNumber(1, 0),
      identity: null,
      ageYears: null,
      split: 'train',
      facts: {},
      factSources: {},
      prompts: ['a smiling woman'],
      captions: [],
      landmarks: [],
    };
    await exportDataset(oneByOne([bare]), folder, options);
    const [row] = await query(`select * exclude (image) from read_parquet('${folder}/data/*.parquet')`);
    expect(row).toMatchObject({ identity: null, age_years: null, captions: { items: [] }, questions: { items: [] } });
    expect(await readdir(join(folder, 'questions'))).toEqual([]);
    expect(await readFile(join(folder, 'README.md'), 'utf8')).not.toContain('config_name: questions');
  });
});

describe('an export that fails', () => {
  test.each([2000, 60_000, 300_000])('a disk with room for %i bytes: one line, nothing left behind', async (bytes) => {
    room.bytes = bytes;
    const failure = exportDataset(questionRows(400, 5, 2000), join(root, 'set'), { ...options, facesPerShard: 100 });
    await expect(failure).rejects.toThrow(
      /^exportDataset: expected to write \S+, got ENOSPC \(no room left\); try a disk with more room$/,
    );
    expect(await readdir(root)).toEqual([]);
  });

  test('an earlier data set stays when the new one fails', async () => {
    await exportDataset(questionRows(20, 1), join(root, 'set'), options);
    const before = await hashes(join(root, 'set'));
    room.bytes = 1000;
    await expect(exportDataset(questionRows(40, 1), join(root, 'set'), options)).rejects.toThrow('ENOSPC');
    expect(await readdir(root)).toEqual(['set']);
    expect(await hashes(join(root, 'set'))).toEqual(before);
  });

  test('records that fail or are stopped leave nothing', async () => {
    async function* broken() {
      yield* questionRows(150, 1);
      throw new Error('no more records');
    }
    await expect(exportDataset(broken(), join(root, 'set'), options)).rejects.toThrow('no more records');
    const signal = AbortSignal.abort();
    await expect(exportDataset(questionRows(5, 1), join(root, 'set'), { ...options, signal })).rejects.toThrow('abort');
    expect(await readdir(root)).toEqual([]);
  });

  test.each([
    ['no records', oneByOne([]), 'expected at least one record, got none'],
    [
      'an id that leads elsewhere',
      oneByOne([{ ...recordNumber(1, 1), id: '../../x' }]),
      'expected an id of letters and digits',
    ],
    ['an unknown split', oneByOne([{ ...recordNumber(1, 1), split: 'dev' as Split }]), 'expected a split'],
  ])('%s', async (_name, records, message) => {
    await expect(exportDataset(records, join(root, 'set'), options)).rejects.toThrow(message);
    expect(await readdir(root)).toEqual([]);
  });

  test('a folder with other files, a file, a path below a file', async () => {
    await mkdir(join(root, 'mine'));
    await writeFile(join(root, 'mine', 'thesis.txt'), 'words');
    await expect(exportDataset(questionRows(5, 1), join(root, 'mine'), options)).rejects.toThrow(
      /expected no folder or an earlier data set at \S+, got other files; try a new folder/,
    );
    await expect(exportDataset(questionRows(5, 1), join(root, 'mine', 'thesis.txt'), options)).rejects.toThrow(
      'got a file',
    );
    await expect(exportDataset(questionRows(5, 1), join(root, 'mine', 'thesis.txt', 'set'), options)).rejects.toThrow(
      /^exportDataset: expected to write \S+, got ENOTDIR; try a path whose parents are folders$/,
    );
    expect(await readdir(join(root, 'mine'))).toEqual(['thesis.txt']);
  });

  test.skipIf(process.getuid?.() === 0)('a folder without permission', async () => {
    await mkdir(join(root, 'locked'), { mode: 0o555 });
    await expect(exportDataset(questionRows(5, 1), join(root, 'locked', 'set'), options)).rejects.toThrow('EACCES');
  });
});

async function* oneByOne(records: DatasetRecord[]): AsyncGenerator<DatasetRecord, void, undefined> {
  yield* records;
}

/** Records made by rule, for tests: `questionsPerFace` questions on each of `faces` faces. */
async function* questionRows(
  faces: number,
  questionsPerFace: number,
  imageBytes = 400,
): AsyncGenerator<DatasetRecord, void, undefined> {
  for (let i = 0; i < faces; i++) yield recordNumber(i, questionsPerFace, imageBytes);
}

const topics = ['Smiling', 'Eyeglasses', 'Wearing_Hat', 'Hair color', 'Beard', 'Young', 'Bangs', 'Expression'];
const kinds: QuestionKind[] = ['yes-no', 'choice', 'color', 'count', 'compare', 'reason', 'unanswerable'];
const openings = ['Is', 'Would you say', 'Looking closely, is', 'Can you tell whether', 'In this picture, is'];

function recordNumber(index: number, questionCount: number, imageBytes = 400): DatasetRecord {
  const id = createHash('md5').update(`face ${index}`).digest('hex');
  const image = new Uint8Array(imageBytes);
  for (let i = 0; i < imageBytes; i++) image[i] = (index * 31 + i * 17 + ((i * index) >> 3)) & 255;
  const split: Split = index % 10 === 0 ? 'test' : index % 10 === 1 ? 'validation' : 'train';
  return {
    id,
    source: index % 3 === 0 ? 'celeba' : 'portraits',
    name: `${String(index).padStart(6, '0')}.jpg`,
    identity: index % 3 === 0 ? String(index >> 1) : null,
    split,
    ageYears: index % 4 === 0 ? 20 + (index % 50) : null,
    image,
    width: 64,
    height: 64,
    box: { x: 1.5 + index, y: 2, width: 50, height: 60.25 },
    landmarks: Array.from({ length: 5 }, (_, k) => ({ x: 10 * k, y: 5 * k + 0.5 })),
    facts: { Smiling: index % 2 === 0, Male: index % 5 === 0, Young: true },
    factSources: {
      Smiling: { from: 'label', probability: 1 },
      Young: { from: 'classifier', probability: 0.97 },
    },
    prompts: ['a smiling face'],
    captions: [`A face with number ${index}, “smiling”.`, `Face ${index}.`],
    questions: Array.from({ length: questionCount }, (_, k) => questionNumber(index * questionCount + k)),
  };
}

function questionNumber(index: number): RecordQuestion {
  const topic = topics[index % topics.length]!;
  const kind = kinds[(index >> 2) % kinds.length]!;
  const opening = openings[(index * 7) % openings.length]!;
  return {
    kind,
    topic,
    question: `${opening} ${topic.toLowerCase()} seen on person ${index % 1009}?`,
    answer: index % 2 === 0 ? `Yes, ${topic} can be seen (${index % 4001}).` : 'No.',
    label: index % 2 === 0 ? 'yes' : 'no',
    evidence: kind === 'unanswerable' ? [] : [topic, 'Male'].slice(0, 1 + (index % 2)),
  };
}
