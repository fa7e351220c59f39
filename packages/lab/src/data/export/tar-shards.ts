import { join } from 'node:path';
import type { DatasetRecord, Split } from '../build/types.ts';
import { tarBlockBytes } from '../sources/tar.ts';
import { FileSink } from './file-sink.ts';
import type { ExportedFile } from './parquet-shards.ts';

interface Shard {
  sink: FileSink;
  name: string;
  rows: number;
}

/** WebDataset tars, a series per split: webdataset/train-000000.tar with ID.jpg, ID.json and ID.txt for each face. */
export class TarShards {
  readonly #root: string;
  readonly #folder: string;
  readonly #rowsPerShard: number;
  readonly #open = new Map<Split, Shard>();
  readonly #counts = new Map<Split, number>();
  readonly #files: ExportedFile[] = [];

  constructor(root: string, folder: string, rowsPerShard: number) {
    this.#root = root;
    this.#folder = folder;
    this.#rowsPerShard = rowsPerShard;
  }

  async add(record: DatasetRecord): Promise<void> {
    const { split, id, image, captions } = record;
    let shard = this.#open.get(split);
    if (!shard) {
      const index = this.#counts.get(split) ?? 0;
      this.#counts.set(split, index + 1);
      const name = `${this.#folder}/${split}-${String(index).padStart(6, '0')}.tar`;
      shard = { sink: await FileSink.create(join(this.#root, name)), name, rows: 0 };
      this.#open.set(split, shard);
    }
    const members: [string, Uint8Array][] = [
      ['jpg', image],
      ['json', Buffer.from(`${JSON.stringify(notesOf(record))}\n`)],
      ['txt', Buffer.from(captions[0] ?? '')],
    ];
    await shard.sink.write(Buffer.concat(members.flatMap(([ending, bytes]) => tarMember(`${id}.${ending}`, bytes))));
    shard.rows++;
    if (shard.rows === this.#rowsPerShard) {
      this.#open.delete(split);
      await this.#finish(split, shard);
    }
  }

  async close(): Promise<ExportedFile[]> {
    for (const [split, shard] of this.#open) {
      this.#open.delete(split);
      await this.#finish(split, shard);
    }
    return this.#files;
  }

  async abandon(): Promise<void> {
    for (const { sink } of this.#open.values()) await sink.abandon();
  }

  async #finish(split: Split, { sink, name, rows }: Shard): Promise<void> {
    try {
      await sink.write(new Uint8Array(2 * tarBlockBytes));
      const sha256 = await sink.close();
      this.#files.push({ path: name, split, rows, bytes: sink.bytes, sha256 });
    } catch (error) {
      await sink.abandon();
      throw error;
    }
  }
}

/** All of a record but its picture. */
function notesOf({ image: _image, ...notes }: DatasetRecord): Omit<DatasetRecord, 'image'> {
  return notes;
}

/** Header (ustar), contents, padding. Time and owner are fixed: the same records give the same bytes. */
function tarMember(name: string, contents: Uint8Array): Uint8Array[] {
  const header = Buffer.alloc(tarBlockBytes);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`;
  header.write(name, 0, 100, 'utf8');
  header.write(octal(0o644, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(contents.length, 11), 124);
  header.write(octal(0, 11), 136);
  header.write(' '.repeat(8), 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  const padding = (tarBlockBytes - (contents.length % tarBlockBytes)) % tarBlockBytes;
  return [header, contents, new Uint8Array(padding)];
}
