import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { collect, type ModelSource, readGeneration, UniF2ace } from '@unif2ace/core';
import { folderSource, loadModel } from '@unif2ace/core/node';
import { directRuntime } from '@unif2ace/graph/node';
import { afterAll, describe, expect, test, vi } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const examples = join(root, 'docs', 'examples');
const pico = join(root, 'weights', 'pico');

describe('examples of the documentation', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'examples-'));
  const start = process.cwd();
  afterAll(async () => {
    process.chdir(start);
    await rm(folder, { recursive: true });
  });

  const run = async (name: string) => {
    const lines: string[] = [];
    const log = vi.spyOn(console, 'log').mockImplementation((text = '') => void lines.push(text));
    process.chdir(folder);
    await import(pathToFileURL(join(examples, name)).href);
    log.mockRestore();
    return lines;
  };

  test('generate writes marked pictures', async () => {
    const lines = await run('generate.ts');
    expect(lines).toHaveLength(12);
    expect(lines.at(-1)).toBe('step 12/12: 0 codes still masked');
    expect(await readdir(folder)).toEqual(['face-0.png', 'face-1.png']);
    expect(readGeneration(await readFile(join(folder, 'face-1.png')))).toMatchObject({
      seed: 7,
      settings: { index: 1 },
    });
  });

  test('edit changes a part', async () => {
    const [line] = await run('edit.ts');
    const [changed, all] = /(\d+) of (\d+)/.exec(line!)!.slice(1).map(Number);
    expect(changed).toBeGreaterThan(0);
    expect(changed).toBeLessThan(all! / 2);
  });

  test('ask answers and describes', async () => {
    const lines = await run('ask.ts');
    expect(lines[1]!.split(' ').length).toBeGreaterThan(3);
  });

  test('cancel names device and reason', async () => {
    const [device, stopped] = await run('cancel.ts');
    expect(device).toMatch(/^device: cpu \(.+\)$/);
    expect(stopped).toBe('stopped: the user left');
  });

  test('photo says how it is used', async () => {
    expect(await run('photo.ts')).toEqual(['usage: photo.ts PHOTO']);
  });

  test('every example is run and shown', async () => {
    const page = await readFile(join(root, 'docs', 'library.md'), 'utf8');
    const names = await readdir(examples);
    expect(names.sort()).toEqual(['ask.ts', 'cancel.ts', 'edit.ts', 'generate.ts', 'photo.ts']);
    for (const name of names) expect(page).toContain(`examples/${name}`);
  });
});

describe('UniF2ace.load', () => {
  test('a name, a folder, an address and files from elsewhere give one model', async () => {
    const runtime = directRuntime();
    const elsewhere: ModelSource = { name: 'memory', read: (file) => folderSource(pico).read(file) };
    for (const reference of ['pico', pico, pathToFileURL(pico), elsewhere, await loadModel(pico)]) {
      const model = await UniF2ace.load(reference, { runtime });
      expect(model.config.name).toBe('pico');
      expect(model.hash).toBe((await loadModel(pico)).hash);
      await model.close();
    }
  });

  test('an unknown name, device or option is one line that tells what there is', async () => {
    await expect(UniF2ace.load('nobody')).rejects.toThrow(/^model: expected .*pico.*, got nobody; try/);
    await expect(UniF2ace.load('pico', { device: 'dml' })).rejects.toThrow(
      /^device: expected one of cpu, webgpu.*, got dml; try auto$/,
    );
    await expect(UniF2ace.load('pico', { threads: 0 })).rejects.toThrow(/^load: threads: expected/);
    await expect(UniF2ace.load('pico', { weights: 'packed' as never })).rejects.toThrow(/^load: weights: expected/);
    await expect(UniF2ace.load('pico', { signal: AbortSignal.abort() })).rejects.toThrow(/abort/);
  });

  test('closing frees the worker it started; weights kept plain or mapped give the same face', async () => {
    const faces = [];
    const packed = await UniF2ace.load('pico', { threads: 1 });
    for (const weights of ['plain', 'mapped'] as const) {
      const other = await UniF2ace.load('pico', { weights, threads: 1 });
      faces.push(await collect(other.generate('a hat', { seed: 1, steps: 3 })));
      await other[Symbol.asyncDispose]();
    }
    const own = await collect(packed.generate('a hat', { seed: 1, steps: 3 }));
    expect(faces).toEqual([own, own]);
    await packed.close();
    await expect(packed.decode([new Int32Array(16)])).rejects.toThrow(/closed/);
  });
});
