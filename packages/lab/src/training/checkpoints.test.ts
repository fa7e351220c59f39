import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Checkpoints } from './checkpoints.ts';

let folder: string;
let log: string[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unif2ace-checkpoints-'));
  log = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = (layout: unknown = 'a', keepLast = 2) =>
  new Checkpoints(folder, { layout, keepLast, onLog: (text) => log.push(text) });
const state = (step: number) => ({
  step,
  arrays: { params: Float32Array.of(step, 1 / 3, -0), m: Float32Array.of(1e-30) },
});
const files = async () => (await readdir(folder)).sort();

describe('checkpoints of a stage', () => {
  test('none at first; then the newest, to the bit', async () => {
    expect(await open().latest()).toBeUndefined();
    await open().save(state(5), 1);
    await open().save(state(12), 2);
    expect(await open().latest()).toEqual(state(12));
  });

  test('the newest and the best are kept', async () => {
    for (const [step, score] of [
      [1, 3],
      [2, 1],
      [3, 2],
      [4, 5],
      [5, 4],
    ] as const)
      await open().save(state(step), score);
    const stems = [2, 4, 5].map((step) => `step-0000000${step}`);
    expect(await files()).toEqual(stems.flatMap((stem) => [`${stem}.json`, `${stem}.safetensors`]));
  });

  test.each(['flipped', 'cut', 'manifest'])(
    'a damaged one (%s) is named and the one before it taken',
    async (damage) => {
      await open().save(state(1), 1);
      await open().save(state(2), 1);
      const path = join(folder, 'step-00000002.safetensors');
      if (damage === 'cut') await truncate(path, 40);
      if (damage === 'manifest') await writeFile(path.replace('.safetensors', '.json'), '{"format":');
      if (damage === 'flipped') {
        const bytes = await readFile(path);
        bytes[bytes.length - 2]! ^= 1;
        await writeFile(path, bytes);
      }
      expect(await open().latest()).toEqual(state(1));
      expect(log).toEqual([expect.stringContaining('step-00000002 is damaged')]);
    },
  );

  test('weights without a manifest, as a crash leaves them, are nothing', async () => {
    await open().save(state(1), 1);
    await writeFile(join(folder, 'step-00000009.safetensors'), 'half');
    expect((await open().latest())?.step).toBe(1);
  });

  test('one of another layout is refused', async () => {
    const layout = { seed: 1, specs: [['a.weight', [2, 3]] as const, ['b.weight', [4]] as const] };
    await open(layout).save(state(1), 1);
    const wider = { ...layout, specs: [['new', [1]], layout.specs[0], ['b.weight', [5]]] };
    await expect(open({ ...layout, seed: 2 }).latest()).rejects.toThrow(
      /^train: checkpoint .*step-00000001: expected seed 2 as this recipe has it, got 1; try/,
    );
    await expect(open(wider).latest()).rejects.toThrow('expected specs.new [[1]] as this recipe has it, got nothing');
    const same = { ...wider, specs: wider.specs.slice(1) };
    await expect(open(same).latest()).rejects.toThrow('expected specs.b.weight.0.0 5 as this recipe has it, got 4');
    expect(await open(layout).latest()).toEqual(state(1));
  });

  test('one of an earlier version, which does not say what it was made of, is taken or refused as a whole', async () => {
    await open('a').save(state(1), 1);
    const path = join(folder, 'step-00000001.json');
    const { described: _, ...earlier } = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    await writeFile(path, JSON.stringify(earlier));
    expect(await open('a').latest()).toEqual(state(1));
    await expect(open('b').latest()).rejects.toThrow(/expected one of this recipe/);
  });
});

/** Only root may make a small disk. */
const mayMount = process.getuid?.() === 0 && process.platform === 'linux';
describe.skipIf(!mayMount)('a full disk', () => {
  test('is told in one line; the checkpoint before is whole, and with room the next is written', async () => {
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]).status).toBe(0);
    const large = (step: number) => ({ step, arrays: { params: new Float32Array(150_000).fill(step) } });
    try {
      await open().save(large(1), 1);
      await expect(open().save(large(2), 1)).rejects.toThrow(
        /^train: checkpoint .*step-00000002: expected room for 0[.]6 MiB, got a full disk with 0[.][34] MiB free; that of step 1 is kept: try to make room, then --resume$/,
      );
      expect(await files()).toEqual(['step-00000001.json', 'step-00000001.safetensors']);
      expect(await open().latest()).toEqual(large(1));
      expect(spawnSync('mount', ['-o', 'remount,size=4m', folder]).status).toBe(0);
      await open().save(large(2), 1);
      expect((await open().latest())?.step).toBe(2);
    } finally {
      spawnSync('umount', [folder]);
    }
  });
});
