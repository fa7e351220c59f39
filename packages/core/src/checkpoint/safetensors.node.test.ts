import { spawn } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  openSafetensors,
  openShardedSafetensors,
  shardIndexFile,
  writeSafetensorsFile,
  writeShardedSafetensors,
} from './safetensors.node.ts';
import { decodeFloat32, encodeSafetensors, SafetensorsError, type TensorToStore } from './safetensors.ts';

let root: string;
let folder: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'safetensors-'));
});
beforeEach(async () => {
  folder = join(root, String(count++));
  await mkdir(folder);
});
afterAll(() => rm(root, { recursive: true, force: true }));

function tensor(name: string, values: number[]): TensorToStore {
  return { name, dtype: 'F32', shape: [values.length], data: Float32Array.from(values) };
}

describe('one file', () => {
  test('is what encodeSafetensors gives, and read tensor by tensor', async () => {
    const tensors = [
      tensor('b', [1, 2]),
      tensor('a', [3]),
      { ...tensor('h', [0.5]), dtype: 'F16' as const },
      tensor('none', []),
    ];
    const path = join(folder, 'model.safetensors');
    await writeSafetensorsFile(path, tensors, { step: '7' });
    expect(new Uint8Array(await readFile(path))).toEqual(encodeSafetensors(tensors, { step: '7' }));
    const file = await openSafetensors(path);
    expect(file.metadata).toEqual({ step: '7' });
    expect([...file.tensors.keys()].sort()).toEqual(['a', 'b', 'h', 'none']);
    for (const { name, data } of tensors) expect([...decodeFloat32(await file.read(name))]).toEqual([...data]);
    await expect(file.read('c')).rejects.toThrow(/model\.safetensors: expected the tensor c, got 4 other tensors; try/);
    await file.close();
    expect(await readdir(folder)).toEqual(['model.safetensors']);
  });

  test('errors name the path, once', async () => {
    const path = join(folder, 'bad.safetensors');
    await expect(openSafetensors(path)).rejects.toThrow(
      /bad\.safetensors: expected a file that can be read, got ENOENT; try/,
    );
    for (const [content, message] of [
      [new Uint8Array(3), 'header: expected at least 8 bytes, got a file of 3 bytes'],
      [encodeSafetensors([tensor('w', [1, 2])]).subarray(0, -1), 'data: expected 8 bytes, got 7'],
    ] as const) {
      await writeFile(path, content);
      const error = await openSafetensors(path).catch((reason: Error) => reason);
      expect(error).toBeInstanceOf(SafetensorsError);
      expect((error as Error).message.split(path)).toHaveLength(2);
      expect((error as Error).message).toContain(`${path}: ${message}`);
    }
  });

  test('a file cut after it was opened', async () => {
    const path = join(folder, 'model.safetensors');
    await writeSafetensorsFile(path, [tensor('a', [1]), tensor('b', [2, 3])]);
    const file = await openSafetensors(path);
    await truncate(path, (await readFile(path)).length - 5);
    expect([...decodeFloat32(await file.read('a'))]).toEqual([1]);
    await expect(file.read('b')).rejects.toThrow(
      /model\.safetensors: b: expected 8 bytes, got 3 \(the file is truncated\)/,
    );
    await file.close();
  });
});

describe('a write that does not finish leaves the old file', () => {
  test('an error in the middle', async () => {
    const path = join(folder, 'model.safetensors');
    await writeSafetensorsFile(path, [tensor('w', [1])]);
    const old = await readFile(path);
    // found only when b is encoded, after a is on the disk
    const broken = [tensor('a', [1]), { ...tensor('b', [1]), shape: [2] }];
    await expect(writeSafetensorsFile(path, broken)).rejects.toThrow(SafetensorsError);
    expect(await readFile(path)).toEqual(old);
    expect(await readdir(folder)).toEqual(['model.safetensors']);
  });

  test('a process killed in the middle', async () => {
    const path = join(folder, 'model.safetensors');
    await writeSafetensorsFile(path, [tensor('w', [1])]);
    const old = await readFile(path);
    // the process is in the middle of its file when it ends
    const script = `
      import { writeFileAtomic } from ${JSON.stringify(join(import.meta.dirname, 'atomic.node.ts'))};
      await writeFileAtomic(${JSON.stringify(path)}, async (write) => {
        await write(new Uint8Array(100_000));
        process.stdout.write('half');
        await new Promise((resolve) => setTimeout(resolve, 60_000));
      });`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(await readFile(path)).toEqual(old);
    // what the killed process left does not stop the next write
    await writeSafetensorsFile(path, [tensor('w', [2])]);
    const file = await openSafetensors(path);
    expect([...decodeFloat32(await file.read('w'))]).toEqual([2]);
    await file.close();
  });
});

describe('shards', () => {
  const tensors = [
    tensor('d', [1, 2, 3, 4]),
    tensor('a', [5]),
    tensor('c', [6, 7]),
    tensor('b', [8, 9]),
    tensor('__proto__', [10]),
  ];
  const index = () => join(folder, shardIndexFile);

  async function valuesOf(path: string): Promise<Record<string, number[]>> {
    const source = await openShardedSafetensors(path);
    const values: [string, number[]][] = [];
    for (const name of source.tensors.keys()) values.push([name, [...decodeFloat32(await source.read(name))]]);
    await source.close();
    return Object.fromEntries(values.sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  const written = (list: readonly TensorToStore[]) =>
    Object.fromEntries(list.map(({ name, data }) => [name, [...data]]));

  test('hold no more than asked for, and come back by the index', async () => {
    await writeShardedSafetensors(folder, tensors, { maxShardBytes: 12, metadata: { format: 'pt' } });
    const { weight_map, metadata } = JSON.parse(await readFile(index(), 'utf8')) as {
      weight_map: Record<string, string>;
      metadata: unknown;
    };
    expect(metadata).toEqual({ total_size: 40 });
    expect(Object.entries(weight_map)).toEqual([
      ['__proto__', 'model-00001-of-00004.safetensors'],
      ['a', 'model-00001-of-00004.safetensors'],
      ['b', 'model-00002-of-00004.safetensors'],
      ['c', 'model-00003-of-00004.safetensors'],
      // above the limit by itself
      ['d', 'model-00004-of-00004.safetensors'],
    ]);
    expect(Object.entries(await valuesOf(index()))).toEqual(
      Object.entries(written(tensors)).sort(([a], [b]) => (a < b ? -1 : 1)),
    );
    const source = await openShardedSafetensors(index());
    expect(source.metadata).toEqual({ format: 'pt' });
    await expect(source.read('e')).rejects.toThrow(/expected the tensor e, got 5 other tensors/);
    await source.close();
  });

  test('a second checkpoint takes other names, switches by the index and removes the first', async () => {
    await writeShardedSafetensors(folder, [tensor('a', [1]), tensor('b', [2])], { maxShardBytes: 4 });
    const old = await openShardedSafetensors(index());
    await writeShardedSafetensors(folder, [tensor('a', [3]), tensor('b', [4])], { maxShardBytes: 4 });
    expect(await valuesOf(index())).toEqual({ a: [3], b: [4] });
    expect((await readdir(folder)).sort()).toEqual([
      'model-2-00001-of-00002.safetensors',
      'model-2-00002-of-00002.safetensors',
      shardIndexFile,
    ]);
    // who has it open keeps reading the old one
    expect([...decodeFloat32(await old.read('a'))]).toEqual([1]);
    await old.close();
    await writeShardedSafetensors(folder, [tensor('a', [5])], { maxShardBytes: 4 });
    expect((await readdir(folder)).sort()).toEqual(['model-00001-of-00001.safetensors', shardIndexFile]);
  });

  test('a checkpoint that cannot be written leaves the old one whole', async () => {
    await writeShardedSafetensors(folder, [tensor('a', [1]), tensor('b', [2])], { maxShardBytes: 4 });
    const broken = [tensor('a', [3]), { ...tensor('b', [4]), shape: [2] }];
    await expect(writeShardedSafetensors(folder, broken, { maxShardBytes: 4 })).rejects.toThrow(SafetensorsError);
    expect(await valuesOf(index())).toEqual({ a: [1], b: [2] });
    const twice = [tensor('a', [3]), tensor('a', [4])];
    await expect(writeShardedSafetensors(folder, twice, { maxShardBytes: 4 })).rejects.toThrow(/two tensors named a/);
    await expect(writeShardedSafetensors(folder, twice, { maxShardBytes: 0 })).rejects.toThrow(
      /maxShardBytes 0; expected/,
    );
  });

  test.each([
    ['{', /index\.json: expected JSON/],
    ['{}', /weight_map: expected an object of file names, got undefined/],
    [
      '{"weight_map":{"a":"../secret.safetensors"}}',
      /weight_map: a: expected a \.safetensors file beside the index, got \.\.\/secret/,
    ],
    ['{"weight_map":{"a":"/etc/passwd"}}', /beside the index/],
    ['{"weight_map":{"a":7}}', /beside the index, got 7/],
    ['{"weight_map":{"a":"gone.safetensors"}}', /gone\.safetensors: expected a file that can be read, got ENOENT/],
    ['{"weight_map":{"z":"there.safetensors"}}', /there\.safetensors: expected the tensor z, got 1 other tensors/],
  ])('index %s is refused', async (content, message) => {
    await writeSafetensorsFile(join(folder, 'there.safetensors'), [tensor('a', [1])]);
    await writeFile(index(), content);
    await expect(openShardedSafetensors(index())).rejects.toThrow(message);
    await expect(openShardedSafetensors(index())).rejects.toThrow(SafetensorsError);
  });

  test('a damaged shard is named', async () => {
    await writeShardedSafetensors(folder, tensors, { maxShardBytes: 12 });
    await appendFile(join(folder, 'model-00002-of-00004.safetensors'), 'x');
    await expect(openShardedSafetensors(index())).rejects.toThrow(
      /model-00002-of-00004\.safetensors: data: expected 8 bytes, got 9/,
    );
  });
});
