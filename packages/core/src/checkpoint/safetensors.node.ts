import { open, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeFileAtomic } from './atomic.node.ts';
import {
  bytesPerElement,
  encodeHeader,
  encodeTensor,
  headerLength,
  parseHeader,
  SafetensorsError,
  type SafetensorsHeader,
  type StoredTensor,
  sortForStorage,
  type TensorEntry,
  type TensorToStore,
} from './safetensors.ts';

/** An open file, or a set of them, whose tensors are read one at a time. */
export interface TensorSource {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, Pick<TensorEntry, 'dtype' | 'shape'>>;
  /** @throws SafetensorsError when there is no such tensor, or the file was cut since it was opened. */
  read(name: string): Promise<StoredTensor>;
  close(): Promise<void>;
}

export interface OpenSafetensors extends TensorSource {
  readonly header: SafetensorsHeader;
}

/** One system call reads no more than this. */
const readBytesAtOnce = 2 ** 30;

/** Opens a file of any size and checks its header; data is read when asked for. @throws SafetensorsError naming the path. */
export async function openSafetensors(path: string): Promise<OpenSafetensors> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw new SafetensorsError(path, 'a file that can be read', error.code ?? error.message, 'try another path');
  });
  const readAt = async (position: number, length: number, what: string) => {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const { bytesRead } = await file.read(bytes, at, Math.min(length - at, readBytesAtOnce), position + at);
      if (bytesRead === 0) throw new SafetensorsError(what, `${length} bytes`, `${at} (the file is truncated)`);
      at += bytesRead;
    }
    return bytes;
  };
  const named = (error: unknown): never => {
    throw error instanceof SafetensorsError ? error.inFile(path) : error;
  };
  try {
    const { size } = await file.stat();
    const length = headerLength(await readAt(0, Math.min(8, size), 'header'), size);
    const header = parseHeader(await readAt(8, length, 'header'), size);
    return {
      header,
      metadata: header.metadata,
      tensors: header.tensors,
      close: () => file.close(),
      read: async (name) => {
        const entry = header.tensors.get(name);
        if (!entry) throw missing(path, name, header.tensors.size);
        const data = await readAt(header.dataOffset + entry.begin, entry.end - entry.begin, name).catch(named);
        return { dtype: entry.dtype, shape: entry.shape, data };
      },
    };
  } catch (error) {
    await file.close();
    return named(error);
  }
}

function missing(path: string, name: string, count: number): SafetensorsError {
  return new SafetensorsError(
    path,
    `the tensor ${name}`,
    `${count} other tensors`,
    'try a checkpoint of the same model',
  );
}

/**
 * Writes a file tensor by tensor; it appears under its name only when it is complete.
 * @throws SafetensorsError for tensors that cannot be stored; a file of that name is then left as it was.
 */
export async function writeSafetensorsFile(
  path: string,
  tensors: Iterable<TensorToStore>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const sorted = sortForStorage(tensors);
  await writeFileAtomic(path, async (write) => {
    await write(encodeHeader(sorted, metadata));
    for (const tensor of sorted) await write(encodeTensor(tensor));
  });
}

/** Name of the index of a sharded checkpoint. */
export const shardIndexFile = 'model.safetensors.index.json';

export interface ShardOptions {
  /** Largest size of one file's data; a single tensor above it gets a file of its own. Default 5 GB. */
  maxShardBytes?: number;
  metadata?: Readonly<Record<string, string>>;
}

/**
 * Writes model-00001-of-0000N.safetensors … and their index into a folder that exists. The index is written last and
 * shards in use are never written over, so a crash leaves the old checkpoint or the new one; old shards go at the end.
 * @throws RangeError, SafetensorsError
 */
export async function writeShardedSafetensors(
  folder: string,
  tensors: Iterable<TensorToStore>,
  { maxShardBytes = 5_000_000_000, metadata = {} }: ShardOptions = {},
): Promise<void> {
  if (!(maxShardBytes >= 1))
    throw new RangeError(`writeShardedSafetensors: maxShardBytes ${maxShardBytes}; expected at least 1`);
  const sorted = [...tensors].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  // also finds names used twice before anything is written: no single shard would see both
  encodeHeader(sorted, {});
  const shards = shardsOf(sorted, maxShardBytes);
  const indexPath = join(folder, shardIndexFile);
  const before = await readShardIndex(indexPath).catch(() => new Map<string, string>());
  const inUse = new Set(before.values());
  const file = shardNames(shards.length, inUse);
  const weightMap: [string, string][] = [];
  for (const [i, shard] of shards.entries()) {
    await writeSafetensorsFile(join(folder, file(i)), shard, metadata);
    for (const { name } of shard) weightMap.push([name, file(i)]);
  }
  const total = sorted.reduce((bytes, tensor) => bytes + storedBytes(tensor), 0);
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(weightMap) };
  await writeFileAtomic(indexPath, `${JSON.stringify(index, null, 2)}\n`);
  const written = new Set(shards.map((_, i) => file(i)));
  for (const old of inUse) if (!written.has(old)) await rm(join(folder, old), { force: true });
}

function storedBytes({ shape, dtype }: TensorToStore): number {
  return shape.reduce((a, b) => a * b, bytesPerElement[dtype]);
}

function shardsOf(tensors: readonly TensorToStore[], maxShardBytes: number): TensorToStore[][] {
  const shards: TensorToStore[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const more = storedBytes(tensor);
    if (bytes > 0 && bytes + more > maxShardBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(tensor);
    bytes += more;
  }
  return shards;
}

/** The usual shard names, or the first numbered variant of them that the present checkpoint does not use. */
function shardNames(count: number, inUse: ReadonlySet<string>): (i: number) => string {
  const digits = (n: number) => String(n).padStart(5, '0');
  for (let variant = 1; ; variant++) {
    const stem = variant === 1 ? 'model' : `model-${variant}`;
    const name = (i: number) => `${stem}-${digits(i + 1)}-of-${digits(count)}.safetensors`;
    if (!Array.from({ length: count }, (_, i) => name(i)).some((file) => inUse.has(file))) return name;
  }
}

/** File of every tensor. @throws SafetensorsError naming the path. */
async function readShardIndex(path: string): Promise<Map<string, string>> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new SafetensorsError(path, 'a file that can be read', error.code ?? error.message, 'try another path');
  });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new SafetensorsError(path, 'JSON', (error as Error).message.slice(0, 80));
  }
  const map = (parsed as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map))
    throw new SafetensorsError(
      `${path}: weight_map`,
      'an object of file names',
      String(JSON.stringify(map)).slice(0, 80),
    );
  for (const [name, file] of Object.entries(map)) {
    // a downloaded index must not lead out of its folder
    if (typeof file !== 'string' || !/^[\w.-]+\.safetensors$/.test(file))
      throw new SafetensorsError(
        `${path}: weight_map: ${name}`,
        'a .safetensors file beside the index',
        String(file).slice(0, 80),
      );
  }
  return new Map(Object.entries(map as Record<string, string>));
}

/** Opens a sharded checkpoint by its index file; all shards are checked, data is read when asked for. @throws SafetensorsError */
export async function openShardedSafetensors(indexPath: string): Promise<TensorSource> {
  const fileOf = await readShardIndex(indexPath);
  const shards = new Map<string, OpenSafetensors>();
  const close = async () => void (await Promise.all([...shards.values()].map((shard) => shard.close())));
  try {
    const tensors = new Map<string, TensorEntry>();
    for (const [name, file] of fileOf) {
      const path = join(dirname(indexPath), file);
      const shard = shards.get(file) ?? (await openSafetensors(path));
      shards.set(file, shard);
      const entry = shard.header.tensors.get(name);
      if (!entry) throw missing(path, name, shard.tensors.size);
      tensors.set(name, entry);
    }
    return {
      metadata: Object.assign({}, ...[...shards.values()].map((shard) => shard.metadata)) as Record<string, string>,
      tensors,
      close,
      read: async (name) => {
        const file = fileOf.get(name);
        if (file === undefined) throw missing(indexPath, name, tensors.size);
        return shards.get(file)!.read(name);
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}
