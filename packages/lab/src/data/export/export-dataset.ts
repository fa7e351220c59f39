import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { DatasetRecord } from '../build/types.ts';
import { DataError } from '../celeba.ts';
import { type CardContents, type DatasetCounts, dataCard, type SourceTerms, splitNames } from './data-card.ts';
import { faceColumns, questionColumns } from './dataset-columns.ts';
import { FileSink, writing } from './file-sink.ts';
import { type ExportedFile, ParquetShards } from './parquet-shards.ts';
import { TarShards } from './tar-shards.ts';

/** Marks dataset.json; the number goes up when the files change their shape. */
const datasetFormat = 'unif2ace-dataset/1';

export interface ExportOptions {
  title: string;
  version: string;
  /** A paragraph or more of Markdown for the data card. */
  description?: string;
  /** Terms of each source of the records, as the data card states them. */
  sources: readonly SourceTerms[];
  /** Version of each stage's model or grammar, for the data card. */
  stageVersions?: Readonly<Record<string, string>>;
  /** Further text files by name, asked for once all records are written. */
  notes?: () => Readonly<Record<string, string>>;
  /** WebDataset tars beside the Parquet files. Default true. */
  webDataset?: boolean;
  /** Faces per Parquet file and tar. Default 10,000. */
  facesPerShard?: number;
  /** Rows per Parquet file of questions. Default 1,000,000. */
  questionsPerShard?: number;
  /** Called after every 256 faces and at the end. */
  onProgress?: (faces: number, questions: number) => void;
  signal?: AbortSignal;
}

export interface ExportSummary {
  folder: string;
  faces: number;
  questions: number;
  counts: DatasetCounts;
  files: ExportedFile[];
}

/** Rows held per split: faces carry pictures, questions only words. */
const facesPerGroup = 100;
const questionsPerGroup = 50_000;
const maxFaceGroupBytes = 32 * 2 ** 20;

/**
 * Writes records as a data set: Parquet of faces and of questions, WebDataset tars, README.md and dataset.json. Memory stays
 * within a row group per split and table. The same records in the same order give the same bytes. Everything is written to
 * FOLDER.unif2ace-partial and renamed at the end; on an error or abort nothing of it stays and an earlier data set is untouched.
 * @throws DataError for no records, an id that cannot be a file name, a folder that holds something else, or no room.
 */
export async function exportDataset(
  records: AsyncIterable<DatasetRecord>,
  directory: string,
  options: ExportOptions,
): Promise<ExportSummary> {
  const folder = resolve(directory);
  await checkTarget(folder);
  const partial = `${folder}.unif2ace-partial`;
  const tables = tablesIn(partial, options);
  try {
    await writing(partial, async () => {
      await rm(partial, { recursive: true, force: true });
      for (const name of tables.folders) await mkdir(join(partial, name), { recursive: true });
    });
    const counts = await writeRecords(records, tables, options);
    const files = [...(await tables.faces.close()), ...(await tables.questions.close())];
    files.push(...((await tables.tars?.close()) ?? []));
    files.sort((a, b) => (a.path < b.path ? -1 : 1));
    await writeNotes(partial, options, counts, files);
    await replaceFolder(partial, folder);
    const sum = (values: Partial<Record<string, number>>) =>
      Object.values(values).reduce<number>((total, value) => total + (value ?? 0), 0);
    return { folder, faces: sum(counts.faces), questions: sum(counts.questions), counts, files };
  } catch (error) {
    for (const table of [tables.faces, tables.questions, tables.tars]) await table?.abandon();
    await rm(partial, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
}

function tablesIn(
  partial: string,
  { facesPerShard = 10_000, questionsPerShard = 1_000_000, webDataset = true }: ExportOptions,
) {
  const positive = Object.entries({ facesPerShard, questionsPerShard });
  for (const [name, value] of positive)
    if (!Number.isInteger(value) || value < 1)
      throw new DataError(`exportDataset: expected ${name} as a whole number from 1, got ${value}; try 10000`);
  return {
    folders: ['data', 'questions', ...(webDataset ? ['webdataset'] : [])],
    faces: new ParquetShards(
      partial,
      'data',
      faceColumns,
      { rowsPerShard: facesPerShard, rowsPerGroup: facesPerGroup, maxGroupBytes: maxFaceGroupBytes },
      (face) => face.image.length,
    ),
    questions: new ParquetShards(partial, 'questions', questionColumns, {
      rowsPerShard: questionsPerShard,
      rowsPerGroup: questionsPerGroup,
    }),
    tars: webDataset ? new TarShards(partial, 'webdataset', facesPerShard) : undefined,
  };
}

async function writeRecords(
  records: AsyncIterable<DatasetRecord>,
  tables: ReturnType<typeof tablesIn>,
  { onProgress, signal }: ExportOptions,
): Promise<DatasetCounts> {
  const counts: DatasetCounts = { faces: {}, questions: {}, questionsByKind: {}, facesBySource: {} };
  let faces = 0;
  let questions = 0;
  for await (const face of records) {
    signal?.throwIfAborted();
    const { id, split, source } = face;
    if (!/^[\w-]{1,80}$/.test(id))
      throw new DataError(
        `exportDataset: expected an id of letters and digits, got ${JSON.stringify(id.slice(0, 40))}; try the hash of the photo`,
      );
    if (!splitNames.includes(split))
      throw new DataError(`exportDataset: expected a split for ${id}, got ${split}; try ${splitNames.join(', ')}`);
    await tables.faces.add(split, face);
    await tables.tars?.add(face);
    for (const question of face.questions) {
      await tables.questions.add(split, { face, question });
      counts.questionsByKind[question.kind] = (counts.questionsByKind[question.kind] ?? 0) + 1;
    }
    counts.faces[split] = (counts.faces[split] ?? 0) + 1;
    counts.questions[split] = (counts.questions[split] ?? 0) + face.questions.length;
    counts.facesBySource[source] = (counts.facesBySource[source] ?? 0) + 1;
    faces++;
    questions += face.questions.length;
    if (faces % 256 === 0) onProgress?.(faces, questions);
  }
  if (faces === 0)
    throw new DataError('exportDataset: expected at least one record, got none; try the reasons of the rejections');
  onProgress?.(faces, questions);
  return counts;
}

async function writeNotes(
  partial: string,
  { title, version, description = '', sources, stageVersions = {}, notes }: ExportOptions,
  counts: DatasetCounts,
  files: readonly ExportedFile[],
): Promise<void> {
  const contents: CardContents = { title, version, description, sources, stageVersions, counts, files };
  const card = Buffer.from(dataCard(contents));
  await writeFile(join(partial, 'README.md'), card);
  const described = (path: string, bytes: Uint8Array) => ({
    path,
    bytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  });
  const further: ReturnType<typeof described>[] = [];
  for (const [name, text] of Object.entries(notes?.() ?? {})) {
    const bytes = Buffer.from(text);
    await writeFile(join(partial, name), bytes);
    further.push(described(name, bytes));
  }
  const manifest = {
    format: datasetFormat,
    title,
    version,
    stageVersions,
    sources,
    counts,
    files,
    card: described('README.md', card),
    notes: further,
  };
  await writeFile(join(partial, 'dataset.json'), Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`));
}

async function writeFile(path: string, bytes: Uint8Array): Promise<void> {
  const sink = await FileSink.create(path);
  try {
    await sink.write(bytes);
    await sink.close();
  } catch (error) {
    await sink.abandon();
    throw error;
  }
}

/** Only an earlier data set may be replaced: a mistyped path must not cost a folder. @throws DataError */
export async function checkTarget(folder: string): Promise<void> {
  const info = await stat(folder).catch(() => undefined);
  if (!info) return;
  const advice = 'try a new folder';
  if (!info.isDirectory()) throw new DataError(`exportDataset: expected a folder at ${folder}, got a file; ${advice}`);
  if ((await readdir(folder)).length === 0) return;
  const manifest = await readFile(join(folder, 'dataset.json'), 'utf8').catch(() => '');
  if (!manifest.includes('"unif2ace-dataset/'))
    throw new DataError(
      `exportDataset: expected no folder or an earlier data set at ${folder}, got other files; ${advice}`,
    );
}

async function replaceFolder(partial: string, folder: string): Promise<void> {
  const old = `${folder}.unif2ace-old`;
  await writing(folder, async () => {
    await rm(old, { recursive: true, force: true });
    const hadOne = await rename(folder, old).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
        return false;
      },
    );
    try {
      await rename(partial, folder);
    } catch (error) {
      if (hadOne) await rename(old, folder);
      throw error;
    }
    await rm(old, { recursive: true, force: true });
    const parent = await open(dirname(folder), 'r');
    await parent.sync().finally(() => parent.close());
  });
}
