import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { directRuntime } from '@unif2ace/graph/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recompress, writeTinyCelebA } from '../../../lab/src/data/build/test/tiny-celeba.ts';
import type { Environment } from '../environment.ts';
import { run } from '../program.ts';

let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'data-command-'));
  await writeTinyCelebA(join(root, 'celeba'), 12);
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function command(...args: string[]): Promise<{ code: number; out: string; errors: string }> {
  const text = { out: '', errors: '' };
  const env: Environment = {
    stdout: { write: (piece) => (text.out += piece) },
    stderr: { write: (piece) => (text.errors += piece) },
    cwd: root,
    signal: new AbortController().signal,
    root,
    openRuntime: async () => ({ device: 'cpu', reason: 'in a test', runtime: directRuntime() }),
  };
  const code = await run(['data', ...args], env);
  return { code, ...text };
}

describe('data', () => {
  test('build, stats, validate: one document each, a report as one file', async () => {
    const built = await command('build', 'celeba', '--out', 'faces', '--threads', '1', '--json');
    expect(built.errors).not.toContain('expected');
    expect(built.code).toBe(0);
    expect(JSON.parse(built.out)).toMatchObject({ photos: 12, faces: 12, rejected: 0, failed: 0 });
    expect(await readFile(join(root, 'faces', 'README.md'), 'utf8')).toMatch(
      /\| celeba \| 12 \| non-commercial research only/,
    );
    const stats = await command('stats', 'faces', '--html', 'faces.html');
    expect(stats.code).toBe(0);
    expect(stats.out).toContain('12');
    const page = await readFile(join(root, 'faces.html'), 'utf8');
    expect(page).toMatch(/^<!doctype html>/i);
    expect(page).not.toMatch(/<(script|link)[^>]*(src|href)=/i);
  });

  test('validate reads captions back against facts and against the labels; a wrong label is found', async () => {
    const validated = await command('validate', 'faces', '--json');
    expect(validated.code).toBe(0);
    const { readBack, ...rest } = JSON.parse(validated.out);
    expect(rest).toEqual({ faces: 12, faults: [] });
    expect(readBack).toMatchObject({ precision: 1, recall: 1, unlabelled: 0 });
    expect(readBack.statements).toBeGreaterThan(12 * 30);
    expect(readBack.stated).toBeGreaterThan(12 * 20);
    const labelled = await command('validate', 'faces', '--labels', 'celeba');
    expect(labelled.out).toMatch(
      /^12 faces, 0 faults\nlabel-derived statements borne out by the labels: (\d+) of \1, precision 1\.000000\nattributes stated in new captions and read back: (\d+) of \2, 100\.000 %\n$/,
    );

    await cp(join(root, 'celeba'), join(root, 'mislabelled'), { recursive: true });
    const list = join(root, 'mislabelled', 'list_attr_celeba.txt');
    const lines = (await readFile(list, 'utf8')).split('\n');
    const male = lines[1]!.trim().split(' ').indexOf('Male');
    const row = lines[2]!.split(' ');
    row[1 + male] = row[1 + male] === '1' ? '-1' : '1';
    lines[2] = row.join(' ');
    await writeFile(list, lines.join('\n'));
    const wrong = await command('validate', 'faces', '--labels', 'mislabelled', '--json');
    expect(wrong.code).toBeGreaterThan(10);
    expect(JSON.parse(wrong.out).readBack.precision).toBeLessThan(1);
    expect(JSON.parse(wrong.out).faults[0].fault).toMatch(/^label: expected Male to be (true|false), got/);
  });

  test('what cannot be used is counted in the exit code and named in a file', async () => {
    const folder = join(root, 'bad');
    await mkdir(folder);
    await writeFile(join(folder, 'a.jpg'), '');
    await writeFile(join(folder, 'b.jpg'), 'no picture');
    const { code, errors } = await command('build', 'celeba', 'bad', '--out', 'partly', '--threads', '1');
    expect(code).toBe(12);
    expect(errors.trim().split('\n').at(-1)).toMatch(/^data build: 2 items could not be used; see .*rejections\.jsonl/);
    const lines = (await readFile(join(root, 'partly', 'rejections.jsonl'), 'utf8')).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).name)).toEqual(['a.jpg', 'b.jpg']);
  });

  test('hash prints what an opt-out list takes; the build then leaves these out, recompressed copies as well', async () => {
    const images = join(root, 'celeba', 'img_align_celeba');
    const hashed = await command('hash', '--aligned', join(images, '000003.jpg'), join(images, '000005.jpg'));
    expect(hashed.code).toBe(0);
    const lines = hashed.out.trim().split('\n');
    expect(lines.map((line) => line.split(':')[0])).toEqual([
      expect.stringMatching(/^# .*000003/),
      'sha256',
      'face',
      expect.stringMatching(/^# .*000005/),
      'sha256',
      'face',
    ]);
    // the first by its file, the second by its look
    await writeFile(join(root, 'opt-out.txt'), `${lines[1]}\n${lines[5]}\n`);
    await recompress(join(images, '000005.jpg'));
    const built = await command(
      'build',
      'celeba',
      '--out',
      'left',
      '--threads',
      '1',
      '--opt-out',
      'opt-out.txt',
      '--json',
    );
    expect(built.code).toBe(0);
    expect(JSON.parse(built.out)).toMatchObject({ photos: 12, faces: 10, rejected: 2, failed: 0 });
    const rejections = (await readFile(join(root, 'left', 'rejections.jsonl'), 'utf8')).trim().split('\n');
    expect(rejections.map((line) => JSON.parse(line))).toMatchObject([
      { name: '000003.jpg', reason: 'opted out' },
      { name: '000005.jpg', reason: 'opted out' },
    ]);
    const bad = await command('hash', 'nowhere.jpg');
    expect(bad.code).toBe(11);
    expect(bad.errors).toMatch(/^data hash: nowhere\.jpg: .*expected/);
  });

  test.each([
    [['build', 'missing', '--out', 'x'], 1, /expected .* got/],
    [['build', 'celeba'], 2, /--out/],
    [['build', 'celeba', '--out', 'x', '--size', '7'], 2, /--size: expected a whole number from 16 to 1,024, got "7"/],
    [['build', 'celeba', '--out', 'x', '--faces', 'some'], 2, /--faces: expected largest, all or single/],
    [['build', 'celeba', '--out', 'x', '--llm', 'nowhere'], 2, /--llm: expected the address/],
    [['build', 'celeba', '--out', 'celeba'], 1, /expected no folder or an earlier data set/],
    [['build', 'celeba', '--out', 'x', '--llm-batch'], 2, /--llm-batch: expected --llm and no --queue/],
    [['build', 'celeba', '--out', 'x', '--llm-retry'], 2, /--llm-retry: expected --llm and no --llm-batch/],
    [
      ['build', 'celeba', '--out', 'x', '--llm', 'http://127.0.0.1:9/v1', '--llm-model', 'm', '--llm-price', '3'],
      2,
      /--llm-price: expected two prices as IN,OUT/,
    ],
    [['build', 'celeba', '--out', 'x', '--terms', 'ours'], 2, /--terms.*: expected the terms of a source as NAME=TEXT/],
    [
      ['build', 'celeba', '--out', 'x', '--terms', 'photos=ours'],
      1,
      /expected terms of one of celeba, got some of photos/,
    ],
    [['stats', 'celeba'], 1, /expected a data set at .*celeba, got ENOENT for dataset\.json/],
    [['review', 'celeba'], 1, /expected a data set at/],
  ])('%j is one clear line', async (args, code, message) => {
    const result = await command(...args);
    expect(result.code).toBe(code);
    expect(result.errors.trim().split('\n').at(-1)).toMatch(message);
    expect(result.out).toBe('');
  });
});
