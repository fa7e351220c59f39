import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { alignFace, crop, encodePng, type FaceLandmarks, pixelImage, psnr, readGeneration } from '@unif2ace/core';
import { decodeImage, faceApiFolder } from '@unif2ace/core/node';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Environment } from './environment.ts';
import { run } from './program.ts';
import { printable } from './terminal.ts';
import { failure, type Outcome, outcomeOf } from './test/outcome.ts';
import { gradient } from './test/pictures.ts';
import { saveTinyModel } from './test/tiny-model.ts';
import { tour } from './tour.ts';

let home: string;
let cwd: string;
let controller: AbortController;
/** PNG files: a face, and two faces of which the right one is the larger. */
let face: Uint8Array;
let pair: Uint8Array;

const inProcess = (work: (env: Environment) => Promise<number>): Promise<Outcome> =>
  outcomeOf({ cwd, root: home, signal: controller.signal }, work);
const unif2ace = (...args: string[]): Promise<Outcome> => inProcess((env) => run(args, env));
const tiny = ['--model', 'tiny'];
const lines = (text: string): string[] => text.split('\n').slice(0, -1);

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'unif2ace-cli-'));
  await saveTinyModel(join(home, 'weights', 'tiny'));
  const group = await decodeImage(join(faceApiFolder(), 'demo/sample1.jpg'));
  face = encodePng(crop(group, 340, 280, 330, 400));
  pair = encodePng(crop(group, 340, 280, 750, 430));
});
afterAll(() => rm(home, { recursive: true, force: true }));
beforeEach(async () => {
  cwd = await mkdtemp(join(home, 'work-'));
  controller = new AbortController();
  await writeFile(join(cwd, 'photo.png'), face);
});

describe('generate', () => {
  const prompt = 'a woman with black hair';

  it('same seed, same bytes; another seed, other bytes', async () => {
    for (const [file, seed] of [
      ['a', 7],
      ['b', 7],
      ['c', 8],
    ] as const)
      expect((await unif2ace('generate', prompt, '--seed', `${seed}`, '--out', `${file}.png`, ...tiny)).code).toBe(0);
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((name) => decodeImage(join(cwd, `${name}.png`))));
    expect(await readFile(join(cwd, 'b.png'))).toEqual(await readFile(join(cwd, 'a.png')));
    expect(b!.data).toEqual(a!.data);
    expect(c!.data).not.toEqual(a!.data);
    expect([a!.width, a!.height]).toEqual([64, 64]);
  });

  it('image i depends on (seed, i) alone: more images leave the first ones as they are', async () => {
    const make = async (count: number) => {
      const outcome = await unif2ace(
        'generate',
        prompt,
        '-n',
        `${count}`,
        '--seed',
        '5',
        '--out',
        `n${count}`,
        ...tiny,
      );
      expect(outcome.code).toBe(0);
      return Promise.all(lines(outcome.stdout).map((path) => readFile(path)));
    };
    const [one, four, six] = [await make(1), await make(4), await make(6)];
    expect([one.length, four.length, six.length]).toEqual([1, 4, 6]);
    expect(four[0]).toEqual(one[0]);
    expect(six.slice(0, 4)).toEqual(four);
    expect(new Set(six.map((bytes) => bytes.toString('hex'))).size).toBe(6);
  });

  it('--json writes one document; a seed is chosen and repeats the run', async () => {
    const first = await unif2ace('generate', prompt, '-n', '2', '--json', '--steps', '3', ...tiny);
    expect(first.code).toBe(0);
    const document = JSON.parse(first.stdout);
    const weights = await readFile(join(home, 'weights', 'tiny', 'model.safetensors'));
    const hash = createHash('sha256').update(weights).digest('hex');
    expect(document).toMatchObject({
      prompt,
      steps: 3,
      // the model's own
      guidance: 2,
      temperature: 1,
      candidates: 1,
      model: { name: 'tiny', hash },
      device: 'cpu',
    });
    expect(document.images.map((image: { path: string }) => image.path)).toEqual(
      [0, 1].map((i) => join(cwd, 'out', `a-woman-with-black-hair-${document.seed}-${i}.png`)),
    );
    expect(first.stderr).toBe(`seed: ${document.seed} (repeat with --seed ${document.seed})\n`);
    const bytes = await readFile(document.images[1].path);
    expect(readGeneration(bytes)).toMatchObject({
      prompt,
      seed: document.seed,
      modelHash: hash,
      settings: { index: 1, steps: 3 },
    });
    await unif2ace(
      'generate',
      prompt,
      '-n',
      '2',
      '--steps',
      '3',
      '--seed',
      `${document.seed}`,
      '--out',
      'again',
      ...tiny,
    );
    expect(await readFile(join(cwd, 'again', `a-woman-with-black-hair-${document.seed}-1.png`))).toEqual(bytes);
  });

  it('says the device unless it was given', async () => {
    const auto = await unif2ace('generate', prompt, '--seed', '1', '--steps', '1', ...tiny);
    expect(auto.stderr).toBe('device: cpu (in a test), model: tiny\n');
    const given = await unif2ace('generate', prompt, '--seed', '1', '--steps', '1', '--device', 'cpu', ...tiny);
    expect(given.stderr).toBe('');
  });

  it.each([
    ['an empty prompt', '', /^note: the prompt is empty/, /face-1\.png/],
    [
      'a very long prompt',
      'a man with a beard '.repeat(2000),
      /^note: the prompt has [\d]+ tokens; the model reads the first 22/,
      /a-man-with-a-beard.*-1\.png/,
    ],
    ['an unbroken prompt', 'a'.repeat(100_000), /^note: the prompt has/, /a{40}-1\.png/],
    ['a non-Latin prompt', '微笑的女人', /^$|^note: the prompt has/, /微笑的女人-1\.png/],
    ['a prompt of special tokens', '<|soi|><|endoftext|>', /^$|^note: the prompt has/, /soi-endoftext-1\.png/],
    ['a prompt that looks like a path', '../../etc/passwd', /^$|^note: the prompt has/, /out\/etc-passwd-1\.png/],
  ])('takes %s', async (_name, text, note, path) => {
    const outcome = await unif2ace('generate', text, '--seed', '1', '--steps', '1', '--device', 'cpu', ...tiny);
    expect(outcome).toMatchObject({ code: 0 });
    expect(outcome.stderr).toMatch(note);
    expect(lines(outcome.stdout)).toEqual([expect.stringMatching(path)]);
    expect(await readdir(join(cwd, 'out'))).toHaveLength(1);
  });

  it('Ctrl+C ends it with 130 and writes nothing', async () => {
    const running = unif2ace('generate', prompt, '--seed', '1', '--steps', '500', '--out', 'a.png', ...tiny);
    setTimeout(controller.abort.bind(controller), 50);
    expect(await running).toMatchObject({ code: 130, stdout: '', stderr: expect.stringMatching(/interrupted\n$/) });
    expect(await readdir(cwd)).toEqual(['photo.png']);
  });
});

describe('describe, ask, reconstruct', () => {
  it('stream text that ends in one line end, the same as the document holds', async () => {
    const plain = await unif2ace('describe', 'photo.png', ...tiny);
    expect(plain).toMatchObject({ code: 0, stderr: 'device: cpu (in a test), model: tiny\n' });
    const document = await unif2ace('describe', 'photo.png', '--json', ...tiny);
    expect(document.stderr).toBe('');
    const { description, ...rest } = JSON.parse(document.stdout);
    expect(rest).toMatchObject({ image: 'photo.png', model: { name: 'tiny' }, device: 'cpu' });
    expect(plain.stdout).toBe(`${printable(description)}\n`);
    expect(description.length).toBeGreaterThan(0);
  });

  it('ask answers; an empty or too long question fails in one line', async () => {
    const question = 'Is the man smiling?';
    const document = JSON.parse((await unif2ace('ask', 'photo.png', question, '--json', ...tiny)).stdout);
    expect(document).toMatchObject({ image: 'photo.png', question, answer: expect.any(String) });
    for (const bad of ['', 'why '.repeat(5000)]) {
      const outcome = await unif2ace('ask', 'photo.png', bad, '--json', ...tiny);
      expect(outcome).toMatchObject({ code: 1, stdout: '' });
      expect(outcome.stderr).toMatch(/^[^\n]*question: expected [^\n]+, got [^\n]+; try [^\n]+\n$/);
    }
  });

  it('edit makes a part anew: marked, repeatable by its seed, by name, rectangle and mask', async () => {
    const ask = ['edit', 'photo.png', 'a man with a beard', '--seed', '4', '--steps', '3', ...tiny];
    const named = await unif2ace(...ask, '--region', 'mouth', '--out', 'a.png', '--json');
    expect(named.code).toBe(0);
    expect(JSON.parse(named.stdout)).toMatchObject({
      image: 'photo.png',
      face: { index: 1, of: 1 },
      region: 'mouth',
      seed: 4,
      images: [{ index: 0, path: join(cwd, 'a.png'), width: 64, height: 64 }],
    });
    const bytes = await readFile(join(cwd, 'a.png'));
    expect(readGeneration(bytes)).toMatchObject({
      prompt: 'a man with a beard',
      seed: 4,
      settings: { region: 'mouth' },
    });
    expect((await unif2ace(...ask, '--region', 'mouth', '--out', 'b.png')).stdout).toBe(`${join(cwd, 'b.png')}\n`);
    expect(await readFile(join(cwd, 'b.png'))).toEqual(bytes);
    expect((await unif2ace(...ask, '--region', '60,60,200,120', '--out', 'c.png')).code).toBe(0);
    await writeFile(join(cwd, 'white.png'), encodePng(pixelImage(330, 400, new Uint8Array(330 * 400 * 3).fill(255))));
    expect((await unif2ace(...ask, '--mask', 'white.png', '--out', 'd.png')).code).toBe(0);
  });

  it.each([
    ['without a region', [], 2, /^edit: expected --region or --mask, got none; try --region hair/],
    ['with both', ['--region', 'hair', '--mask', 'photo.png'], 2, /^edit: expected --region or --mask, got both/],
    ['with an unknown part', ['--region', 'ear'], 2, /^--region: expected hair, eyes, mouth or x,y,w,h/],
    ['beside the photo', ['--region', '900,0,5,5'], 1, /^region: expected a rectangle within 330×400, got 900,0,5,5/],
    ['by a mask of another size', ['--mask', 'small.png'], 1, /^mask: expected a picture of 330×400/],
  ])('edit %s is one clear line and writes nothing', async (_, more, code, message) => {
    await writeFile(join(cwd, 'small.png'), encodePng(pixelImage(20, 20)));
    const outcome = await unif2ace('edit', 'photo.png', 'a man', '--out', 'x.png', '--seed', '1', ...tiny, ...more);
    expect(outcome.code).toBe(code);
    expect(lines(outcome.stderr).at(-1)).toMatch(message);
    expect(await readdir(cwd)).not.toContain('x.png');
  });

  it('reconstruct writes the picture whose PSNR it prints, against the aligned face', async () => {
    const outcome = await unif2ace('reconstruct', 'photo.png', '--out', 'r.png', '--json', ...tiny);
    const document = JSON.parse(outcome.stdout);
    expect(document).toMatchObject({ image: 'photo.png', out: join(cwd, 'r.png'), width: 8, height: 8 });
    const points = Object.values(document.face.landmarks) as unknown as FaceLandmarks;
    const aligned = alignFace(await decodeImage(join(cwd, 'photo.png')), points, 8);
    const written = await decodeImage(join(cwd, 'r.png'));
    // the document rounds the landmarks to a tenth of a pixel
    expect(Math.abs(document.psnrDb - psnr(aligned, written))).toBeLessThan(0.05);
  });

  it('say which face they looked at; --face takes another', async () => {
    await writeFile(join(cwd, 'pair.png'), pair);
    const look = async (...args: string[]) =>
      JSON.parse((await unif2ace('describe', 'pair.png', '--json', ...args, ...tiny)).stdout).face;
    const [largest, second] = [await look(), await look('--face', '2')];
    expect(largest).toMatchObject({ index: 1, of: 2, score: expect.any(Number) });
    expect(second).toMatchObject({ index: 2, of: 2 });
    expect(largest.box.x).toBeGreaterThan(second.box.x);
    expect(largest.box.width * largest.box.height).toBeGreaterThan(second.box.width * second.box.height);
    expect(Object.keys(second.landmarks)).toEqual(['rightEye', 'leftEye', 'nose', 'rightMouth', 'leftMouth']);
    expect(await look('--face', '1')).toEqual(largest);
    const plain = await unif2ace('ask', 'pair.png', 'Who?', '--device', 'cpu', ...tiny);
    expect(plain.stderr).toBe('pair.png: 2 faces, the largest is taken; --face 2 takes the next\n');
    expect((await unif2ace('ask', 'pair.png', 'Who?', '--face', '2', '--device', 'cpu', ...tiny)).stderr).toBe('');
  });

  it('fail in one line without a face, or without that many', async () => {
    await writeFile(join(cwd, 'none.png'), encodePng(gradient(60, 40)));
    for (const args of [
      ['describe', 'none.png'],
      ['ask', 'none.png', 'Who?'],
      ['reconstruct', 'none.png', '--out', 'r.png'],
    ])
      expect(await unif2ace(...args, '--device', 'cpu', ...tiny)).toEqual({
        code: 1,
        stdout: '',
        stderr: 'none.png: expected a face, got none; try a photo where the face is larger\n',
      });
    expect(await unif2ace('describe', 'photo.png', '--face', '3', '--device', 'cpu', ...tiny)).toEqual({
      code: 1,
      stdout: '',
      stderr: 'photo.png: expected face 1, the only one, got face 3; try face 1, the largest\n',
    });
    expect((await readdir(cwd)).sort()).toEqual(['none.png', 'photo.png']);
  });
});

describe('inspect', () => {
  it('counts every parameter once, by part and expert group', async () => {
    const outcome = await unif2ace('inspect', 'tiny', '--json');
    const document = JSON.parse(outcome.stdout);
    const folder = join(home, 'weights', 'tiny');
    const weights = await readFile(join(folder, 'model.safetensors'));
    // the header gives the size of all data; two bytes a value
    expect(document.parameters.total).toBe((weights.length - 8 - Number(weights.readBigUInt64LE())) / 2);
    const { total, ...parts } = document.parameters as Record<string, Record<string, number>> & { total: number };
    expect(Object.values(parts).reduce((sum, part) => sum + part.total!, 0)).toBe(total);
    // 2 layers × 4 experts × (8·16 + 8 + 16·8 + 16)
    expect(parts.backbone!['token experts, t2i, routed']).toBe(2 * 4 * (8 * 16 + 8 + 16 * 8 + 16));
    expect(parts.backbone!['token experts, mmu, shared']).toBe(2 * (16 * 16 + 16 + 16 * 16 + 16));
    // clip and face have a mixing pair each, in two layers
    expect(parts.backbone!['sequence experts, mmu, routed']).toBe(2 * 2 * 2);
    expect(document).toMatchObject({
      name: 'tiny',
      tokens: { image: 16, imageCodes: 64, prompt: 24, answer: 80 },
      hash: createHash('sha256').update(weights).digest('hex'),
      fileBytes: { 'model.safetensors': weights.length },
    });
    const plain = await unif2ace('inspect', folder);
    expect(plain.code).toBe(0);
    for (const piece of ['tiny', document.hash, '4×4 = 16 tokens of 64 codes', 'token experts, t2i, routed'])
      expect(plain.stdout).toContain(piece);
  });
});

describe('usage errors give code 2 and one line', () => {
  it.each([
    ['unknown command', ['paint'], /unknown command 'paint'/],
    ['unknown option', ['generate', 'x', '--sped', '3'], /unknown option '--sped'/],
    ['missing argument', ['generate'], /missing required argument 'prompt'/],
    ['missing second argument', ['ask', 'photo.png'], /missing required argument 'question'/],
    ['one argument too many', ['describe', 'photo.png', 'b.png'], /too many arguments/],
    ['missing value', ['generate', 'x', '--seed'], /argument missing/],
    ['required option', ['reconstruct', 'photo.png'], /required option '--out <file>'/],
    ['no number', ['generate', 'x', '--steps', 'ten'], /--steps: expected a whole number from 1 to 1,024, got "ten"/],
    ['no whole number', ['generate', 'x', '-n', '1.5'], /-n: expected a whole number from 1 to 1,024, got "1.5"/],
    ['empty number', ['generate', 'x', '--steps', ''], /--steps: expected a whole number/],
    ['below the range', ['generate', 'x', '--steps', '0'], /--steps: expected/],
    [
      'too many candidates',
      ['generate', 'x', '--candidates', '17'],
      /--candidates: expected a whole number from 1 to 16, got "17"/,
    ],
    [
      'above the range',
      ['generate', 'x', '--guidance', '101'],
      /--guidance: expected a number from 0 to 100, got "101"/,
    ],
    ['negative', ['generate', 'x', '--temperature', '-1'], /--temperature: expected/],
    ['infinite', ['generate', 'x', '--temperature', 'Infinity'], /--temperature: expected/],
    [
      'seed too large',
      ['generate', 'x', '--seed', '9007199254740992'],
      /--seed: expected a whole number from 0 to 2\^53 − 1/,
    ],
    ['hexadecimal', ['generate', 'x', '--scale', '0x10'], /--scale: expected/],
    [
      'unknown device',
      ['describe', 'photo.png', '--device', 'gpu'],
      /--device: expected auto, cpu, webgpu, cuda, coreml or dml, got "gpu"/,
    ],
    [
      'no face number',
      ['ask', 'photo.png', 'Who?', '--face', '0'],
      /--face: expected a whole number from 1 to 1,000, got "0"/,
    ],
    ['no PNG', ['generate', 'x', '--out', 'a.jpg'], /--out: expected a \.png file or a folder, got "a.jpg"/],
    [
      'one file for two images',
      ['generate', 'x', '-n', '2', '--out', 'a.png'],
      /--out: expected a folder for 2 images/,
    ],
    ['reconstruct to no PNG', ['reconstruct', 'photo.png', '--out', 'a.jpg'], /--out: expected a \.png file/],
    ['train without a recipe', ['train'], /missing required argument 'recipe'/],
  ])('%s', async (_name, args, message) => {
    const outcome = await unif2ace(...args);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(lines(outcome.stderr)).toEqual([expect.stringMatching(message)]);
    expect(outcome.stderr).toMatch(/; try /);
    expect(await readdir(cwd)).toEqual(['photo.png']);
  });

  it('help and version are no errors; the bare command shows help', async () => {
    expect(await unif2ace('--version')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
    const help = await unif2ace('generate', '--help');
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const option of [
      '-n',
      '--steps',
      '--guidance',
      '--temperature',
      '--candidates',
      '--seed',
      '--model',
      '--device',
      '--out',
      '--scale',
      '--json',
    ])
      expect(help.stdout).toContain(option);
    expect(await unif2ace()).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('generate') });
  });
});

describe('demo', () => {
  it('works without a terminal, goes on after a bad photo and says so by its code', async () => {
    const prompts = ['a man with a beard', 'a woman'];
    const outcome = await inProcess((env) =>
      tour(env, ['photo.png', 'no.png'], { model: 'tiny', prompts, facesPerPrompt: 2 }),
    );
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/^no\.png: expected [^\n]+\n$/);
    expect((await readdir(join(cwd, 'out', 'demo'))).sort()).toEqual(
      [
        'a-man-with-a-beard-1-0.png',
        'a-man-with-a-beard-1-1.png',
        'a-woman-1-0.png',
        'a-woman-1-1.png',
        'grid.png',
      ].sort(),
    );
    expect(outcome.stdout.match(/It sees:/g)).toHaveLength(3);
    expect(outcome.stdout).toContain('non-commercial');
    expect(outcome.stdout).not.toContain('\x1b');
    const grid = await decodeImage(join(cwd, 'out', 'demo', 'grid.png'));
    expect([grid.width, grid.height]).toEqual([2 * 32 + 6, 2 * 32 + 6]);
  });
});

describe('as a process of its own', () => {
  const main = resolve(import.meta.dirname, 'main.ts');
  const repository = resolve(import.meta.dirname, '../../..');
  const tsx = join(repository, 'node_modules/tsx/dist/cli.mjs');
  const child = (...args: string[]): Promise<Outcome> =>
    new Promise((done, fail) => {
      const started = spawn(process.execPath, [tsx, '--conditions=source', main, ...args], { cwd: repository });
      const text = { stdout: '', stderr: '' };
      started.stdout.on('data', (part) => (text.stdout += part));
      started.stderr.on('data', (part) => (text.stderr += part));
      started.on('error', fail);
      started.on('close', (code) => done({ code: code ?? -1, ...text }));
    });

  it('gives the bytes that the other runtime gives', async () => {
    const model = ['--model', join(home, 'weights', 'tiny')];
    const outcome = await child(
      'generate',
      'a man',
      '--seed',
      '3',
      '--out',
      join(cwd, 'child.png'),
      '--json',
      ...model,
    );
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(outcome.stdout).seed).toBe(3);
    await unif2ace('generate', 'a man', '--seed', '3', '--out', 'own.png', ...model);
    expect(await readFile(join(cwd, 'child.png'))).toEqual(await readFile(join(cwd, 'own.png')));
  });

  it('sets the exit code', async () => {
    await symlink('nowhere', join(cwd, 'loose.png'));
    const outcome = await child('describe', join(cwd, 'loose.png'), '--model', join(home, 'weights', 'tiny'));
    expect(outcome).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(failure) });
  });
});
