import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import type { Split } from '../build/types.ts';
import { FileSink, writing } from './file-sink.ts';
import { type Column, huggingFaceMetadata, schemaOf } from './parquet-columns.ts';

export interface ExportedFile {
  /** Below the data set's folder, with forward slashes. */
  path: string;
  split: Split;
  rows: number;
  bytes: number;
  sha256: string;
}

export interface ShardOptions {
  rowsPerShard: number;
  rowsPerGroup: number;
  /** A row group ends early at this size; told by `weigh`. Default: no bound. */
  maxGroupBytes?: number;
}

interface Shard {
  sink: FileSink;
  writer: ParquetWriter;
  name: string;
  rows: number;
  /** Values that wait for their row group, by column. */
  waiting: unknown[][];
  waitingRows: number;
  waitingBytes: number;
}

/** Parquet files of one table, a series per split: FOLDER/SPLIT-00000-of-00008.parquet. One row group is held per split. */
export class ParquetShards<Row> {
  readonly #root: string;
  readonly #folder: string;
  readonly #columns: readonly Column<Row>[];
  readonly #options: ShardOptions;
  readonly #weigh: (row: Row) => number;
  readonly #open = new Map<Split, Shard>();
  readonly #counts = new Map<Split, number>();
  readonly #files: ExportedFile[] = [];

  constructor(
    root: string,
    folder: string,
    columns: readonly Column<Row>[],
    options: ShardOptions,
    weigh: (row: Row) => number = () => 0,
  ) {
    this.#root = root;
    this.#folder = folder;
    this.#columns = columns;
    this.#options = options;
    this.#weigh = weigh;
  }

  async add(split: Split, row: Row): Promise<void> {
    let shard = this.#open.get(split);
    if (!shard) {
      shard = await this.#begin(split);
      this.#open.set(split, shard);
    }
    for (let i = 0; i < this.#columns.length; i++) shard.waiting[i]!.push(this.#columns[i]!.value(row));
    shard.rows++;
    shard.waitingRows++;
    shard.waitingBytes += this.#weigh(row);
    const { rowsPerShard, rowsPerGroup, maxGroupBytes = Number.POSITIVE_INFINITY } = this.#options;
    if (shard.rows === rowsPerShard) {
      this.#open.delete(split);
      await this.#finish(split, shard);
    } else if (shard.waitingRows === rowsPerGroup || shard.waitingBytes >= maxGroupBytes) await this.#writeGroup(shard);
  }

  /** Finishes all shards and gives them their final names. */
  async close(): Promise<ExportedFile[]> {
    for (const [split, shard] of this.#open) {
      this.#open.delete(split);
      await this.#finish(split, shard);
    }
    for (const file of this.#files) {
      const total = String(this.#counts.get(file.split)).padStart(5, '0');
      const path = file.path.replace(/\.parquet$/, `-of-${total}.parquet`);
      await writing(path, () => rename(join(this.#root, file.path), join(this.#root, path)));
      file.path = path;
    }
    return this.#files;
  }

  async abandon(): Promise<void> {
    for (const { sink } of this.#open.values()) await sink.abandon();
  }

  async #begin(split: Split): Promise<Shard> {
    const index = this.#counts.get(split) ?? 0;
    this.#counts.set(split, index + 1);
    const name = `${this.#folder}/${split}-${String(index).padStart(5, '0')}.parquet`;
    const sink = await FileSink.create(join(this.#root, name));
    const writer = new ParquetWriter({
      writer: new SinkWriter(sink),
      schema: schemaOf(this.#columns),
      kvMetadata: huggingFaceMetadata(this.#columns),
      createdBy: 'unif2ace',
    });
    const waiting = this.#columns.map(() => []);
    return { sink, writer, name, rows: 0, waiting, waitingRows: 0, waitingBytes: 0 };
  }

  async #writeGroup(shard: Shard): Promise<void> {
    if (shard.waitingRows === 0) return;
    await shard.writer.write({
      rowGroupSize: shard.waitingRows,
      columnData: this.#columns.map(({ name, encoding, isCompressed, hasStatistics = false }, i) => ({
        name,
        data: shard.waiting[i]!,
        statistics: hasStatistics,
        ...(encoding && { encoding }),
        ...(isCompressed && { codec: 'UNCOMPRESSED' as const }),
      })),
    });
    shard.waiting = this.#columns.map(() => []);
    shard.waitingRows = 0;
    shard.waitingBytes = 0;
  }

  async #finish(split: Split, shard: Shard): Promise<void> {
    try {
      await this.#writeGroup(shard);
      await shard.writer.finish();
      const sha256 = await shard.sink.close();
      this.#files.push({ path: shard.name, split, rows: shard.rows, bytes: shard.sink.bytes, sha256 });
    } catch (error) {
      await shard.sink.abandon();
      throw error;
    }
  }
}

/** Hands each row group to the file; `offset` goes on counting. */
class SinkWriter extends ByteWriter {
  readonly #sink: FileSink;

  constructor(sink: FileSink) {
    super(1 << 16);
    this.#sink = sink;
  }

  async flush(): Promise<void> {
    await this.#sink.write(this.getBytes());
    this.index = 0;
  }

  override finish(): Promise<void> {
    return this.flush();
  }
}
