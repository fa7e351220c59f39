import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatasetRecord, FactSource, RecordQuestion, Rejection } from '../build/types.ts';
import { DataError } from '../celeba.ts';
import { openParquet, type ParquetFile, readRows } from '../sources/parquet-cells.ts';
import { faceColumns } from './dataset-columns.ts';

const columns = faceColumns.map(({ name }) => name);
const rowsAtOnce = 100;

type Row = Record<string, unknown>;

/** A data set that was written by `exportDataset`. */
export interface OpenedDataset {
  count: number;
  /** In the order of the files. */
  record(index: number): Promise<DatasetRecord>;
  records(): AsyncGenerator<DatasetRecord, void, undefined>;
  rejections(): Promise<Rejection[]>;
}

/** @throws DataError when the folder holds no data set of ours, or one of another format. */
export async function openDataset(folder: string): Promise<OpenedDataset> {
  const path = join(folder, 'dataset.json');
  const advice = 'try the folder that `unif2ace data build --out` wrote';
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new DataError(`data: expected a data set at ${folder}, got ${error.code} for dataset.json; ${advice}`);
  });
  let manifest: { format?: string; files?: { path: string }[] };
  try {
    manifest = JSON.parse(text) as typeof manifest;
  } catch (error) {
    throw new DataError(`${path}: expected JSON, got ${(error as Error).message}; ${advice}`);
  }
  if (manifest.format !== 'unif2ace-dataset/1' || !manifest.files)
    throw new DataError(`${path}: expected the format unif2ace-dataset/1, got ${manifest.format}; ${advice}`);
  const names = manifest.files.map((file) => file.path).filter((name) => /^data\/.*\.parquet$/.test(name));
  const parts: { file: ParquetFile; rows: number; first: number }[] = [];
  let count = 0;
  for (const name of names) {
    const file = await openParquet(join(folder, name));
    const rows = Number(file.metadata.num_rows);
    parts.push({ file, rows, first: count });
    count += rows;
  }
  const read = async (file: ParquetFile, start: number, end: number) =>
    (await readRows(file, columns, start, end)).map(recordOf);
  return {
    count,
    async record(index) {
      const part = parts.find(({ first, rows }) => index >= first && index < first + rows);
      if (!part) throw new RangeError(`record: expected an index below ${count}, got ${index}`);
      const [record] = await read(part.file, index - part.first, index - part.first + 1);
      return record!;
    },
    async *records() {
      for (const { file, rows } of parts)
        for (let start = 0; start < rows; start += rowsAtOnce)
          yield* await read(file, start, Math.min(rows, start + rowsAtOnce));
    },
    async rejections() {
      const lines = await readFile(join(folder, 'rejections.jsonl'), 'utf8').catch(() => '');
      return lines
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Rejection);
    },
  };
}

/** The inverse of `faceColumns`. */
function recordOf(row: Row): DatasetRecord {
  const names = (column: string) => (row[column] ?? []) as string[];
  const facts = Object.fromEntries([
    ...names('facts_true').map((name) => [name, true]),
    ...names('facts_false').map((name) => [name, false]),
  ]) as DatasetRecord['facts'];
  const sources = (row.fact_sources ?? []) as ({ attribute: string } & FactSource)[];
  return {
    id: row.id as string,
    source: row.source as string,
    name: row.name as string,
    identity: (row.identity ?? null) as string | null,
    split: row.split as DatasetRecord['split'],
    ageYears: (row.age_years ?? null) as number | null,
    image: (row.image as { bytes: Uint8Array }).bytes,
    width: Number(row.width),
    height: Number(row.height),
    box: row.box as DatasetRecord['box'],
    landmarks: row.landmarks as DatasetRecord['landmarks'],
    facts,
    factSources: Object.fromEntries(
      sources.map(({ attribute, from, probability }) => [attribute, { from, probability }]),
    ),
    captions: names('captions'),
    prompts: names('prompts'),
    questions: (row.questions ?? []) as RecordQuestion[],
  };
}
