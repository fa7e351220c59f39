import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crop, encodePng } from '@unif2ace/core';
import { decodeImage, faceApiFolder } from '@unif2ace/core/node';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { run } from './program.ts';
import { failure, type Outcome, outcomeOf } from './test/outcome.ts';
import { claimSize, gradient, pngChunk } from './test/pictures.ts';
import { saveTinyModel } from './test/tiny-model.ts';

let home: string;
let cwd: string;
/** PNG file of a face. */
let face: Uint8Array;

const unif2ace = (...args: string[]): Promise<Outcome> =>
  outcomeOf({ cwd, root: home, signal: new AbortController().signal }, (env) => run(args, env));
const tiny = ['--model', 'tiny'];

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'unif2ace-cli-'));
  await saveTinyModel(join(home, 'weights', 'tiny'));
  const group = await decodeImage(join(faceApiFolder(), 'demo/sample1.jpg'));
  face = encodePng(crop(group, 340, 280, 330, 400));
});
afterAll(() => rm(home, { recursive: true, force: true }));
beforeEach(async () => {
  cwd = await mkdtemp(join(home, 'work-'));
  await writeFile(join(cwd, 'photo.png'), face);
});

async function copyTiny(folder: string): Promise<void> {
  const from = join(home, 'weights', 'tiny');
  for (const file of await readdir(from)) await writeFile(join(folder, file), await readFile(join(from, file)));
}

describe('failures give code 1, one line and no file', () => {
  const png = encodePng(gradient(20, 16));
  const control = new Uint8Array(8);
  control[3] = 2;
  const animated = Buffer.concat([png.subarray(0, 33), pngChunk('acTL', control), png.subarray(33)]);
  const bad: [string, Uint8Array | null | 'folder'][] = [
    ['a missing file', null],
    ['a folder', 'folder'],
    ['an empty file', new Uint8Array()],
    ['a truncated file', png.subarray(0, png.length - 200)],
    ['a text', Buffer.from('This is not a picture at all.')],
    ['random bytes', Uint8Array.from({ length: 500 }, (_, i) => (i * 89 + 3) % 251)],
    ['an animation', animated],
    ['fifty megapixels', claimSize(png, 10_000, 5000)],
  ];
  it.each(bad)('%s as image', async (_name, content) => {
    await rm(join(cwd, 'photo.png'));
    if (content === 'folder') await mkdir(join(cwd, 'bad.png'));
    else if (content) await writeFile(join(cwd, 'bad.png'), content);
    for (const args of [
      ['describe', 'bad.png'],
      ['ask', 'bad.png', 'Who?'],
      ['reconstruct', 'bad.png', '--out', 'r.png'],
    ]) {
      const outcome = await unif2ace(...args, ...tiny);
      expect(outcome).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(failure) });
      expect(outcome.stderr).toMatch(/^bad\.png: /);
    }
    expect(await readdir(cwd)).toEqual(content === null ? [] : ['bad.png']);
  });

  it('an unknown model: the error lists what there is', async () => {
    for (const args of [
      ['generate', 'x'],
      ['describe', 'photo.png'],
    ]) {
      const outcome = await unif2ace(...args, '--model', 'huge');
      expect(outcome).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(failure) });
      expect(outcome.stderr).toContain('(tiny), got huge; try --model tiny');
    }
    expect(await unif2ace('inspect', 'huge')).toMatchObject({ code: 1, stderr: expect.stringMatching(failure) });
    expect(await readdir(cwd)).toEqual(['photo.png']);
  });

  it.each([
    ['an empty folder', async () => {}],
    [
      'weights cut short',
      async (folder: string) => {
        await copyTiny(folder);
        const file = join(folder, 'model.safetensors');
        await writeFile(file, (await readFile(file)).subarray(0, -100));
      },
    ],
    [
      'no JSON',
      async (folder: string) => {
        await copyTiny(folder);
        await writeFile(join(folder, 'model.json'), '{');
      },
    ],
    [
      'a wrong size',
      async (folder: string) => {
        await copyTiny(folder);
        const text = await readFile(join(folder, 'model.json'), 'utf8');
        await writeFile(
          join(folder, 'model.json'),
          text.replace('"intermediateSize": 32', '"intermediateSize": 32, "extra": 1'),
        );
      },
    ],
    [
      'weights of another shape',
      async (folder: string) => {
        await copyTiny(folder);
        const text = await readFile(join(folder, 'model.json'), 'utf8');
        await writeFile(join(folder, 'model.json'), text.replace('"routedHidden": 8', '"routedHidden": 9'));
      },
    ],
    [
      'a foreign tokenizer',
      async (folder: string) => {
        await copyTiny(folder);
        await writeFile(join(folder, 'tokenizer.json'), '{}');
      },
    ],
  ])('a model folder with %s', async (_name, prepare) => {
    const folder = join(cwd, 'broken');
    await mkdir(folder);
    await prepare(folder);
    const outcome = await unif2ace('generate', 'x', '--out', 'a.png', '--model', 'broken');
    expect(outcome).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(failure) });
    expect((await readdir(cwd)).sort()).toEqual(['broken', 'photo.png']);
  });

  it('--out is checked before any work', async () => {
    await mkdir(join(cwd, 'full.png'));
    for (const out of ['missing/a.png', 'full.png', 'photo.png/faces', 'photo.png/a.png']) {
      const outcome = await unif2ace('generate', 'x', '--out', out, '--model', 'there is no such model');
      expect(outcome).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(/^--out: expected [^\n]+; try [^\n]+\n$/),
      });
    }
    expect((await readdir(cwd)).sort()).toEqual(['full.png', 'photo.png']);
  });

  it('train: a recipe by path that is none, has a wrong field, or a page without a port', async () => {
    const missing = await unif2ace('train', './mine.mjs');
    expect(missing).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^recipe: expected a file, got nothing at/),
    });
    await mkdir(join(cwd, 'celeba'));
    await writeFile(join(cwd, 'mine.mjs'), "export default { kind: 'model', name: 'mine', sed: 1 };\n");
    const wrong = await unif2ace('train', './mine.mjs', '--data', 'celeba');
    expect(wrong).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^train: mine[.]mjs: [^\n]+\n$/),
    });
    const port = await unif2ace('train', 'pico', '--watch', '--port', 'x');
    expect(port).toMatchObject({ code: 2, stderr: expect.stringMatching(/^--port: expected a whole number/) });
    await rm(join(cwd, 'celeba'), { recursive: true });
    await rm(join(cwd, 'mine.mjs'));
    expect(await readdir(cwd)).toEqual(['photo.png']);
  });

  it('train: unknown recipe and missing data', async () => {
    const unknown = await unif2ace('train', 'giga');
    expect(unknown).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^recipe: expected one of .*pico.*, got giga; try [^\n]+\n$/),
    });
    const nowhere = await unif2ace('train', 'pico', '--data', 'nowhere');
    expect(nowhere).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^--data: expected [^\n]+; try [^\n]+\n$/),
    });
    expect(await readdir(cwd)).toEqual(['photo.png']);
  });
});
