import { spawnSync } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TrainEvent } from '../events.ts';
import { MetricsLog } from './metrics-log.ts';

let folder: string;
let troubles: string[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'metrics-'));
  troubles = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = (resume = false, at = folder) =>
  new MetricsLog(at, { resume, onTrouble: (text) => troubles.push(text), now: () => 0 });
const alarm = (stage: string, step: number): TrainEvent => ({ kind: 'alarm', stage, step, raised: true, text: 'x' });
const begin = (stage: string, step: number): TrainEvent => ({ kind: 'begin', stage, step, steps: 100 });
const lines = async (at = folder) =>
  (await readFile(join(at, 'metrics.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string; stage: string; step: number });
const steps = async () => (await lines()).map(({ kind, stage, step }) => `${kind} ${stage} ${step}`);

test('each event is in the file before the next', async () => {
  const log = open();
  log.append(begin('a', 0));
  expect(await steps()).toEqual(['begin a 0']);
  log.append(alarm('a', 5));
  expect(await lines()).toMatchObject([{}, { time: '1970-01-01T00:00:00.000Z', kind: 'alarm', step: 5 }]);
});

test('a resumed run drops what its stage logged beyond the step, and a line that a kill cut short', async () => {
  const first = open();
  for (const event of [begin('a', 0), alarm('a', 90), begin('b', 0), alarm('b', 10), alarm('b', 20), alarm('b', 30)])
    first.append(event);
  await appendFile(join(folder, 'metrics.jsonl'), '{"time":"1970-01-01T00:0');
  const second = open(true);
  second.append(begin('b', 20));
  second.append(alarm('b', 25));
  second.close();
  expect(await steps()).toEqual([
    'begin a 0',
    'alarm a 90',
    'begin b 0',
    'alarm b 10',
    'alarm b 20',
    'begin b 20',
    'alarm b 25',
  ]);
  expect(troubles).toEqual([]);
});

test('a new run puts the file of the one before aside', async () => {
  open().append(alarm('a', 1));
  open().append(alarm('a', 2));
  expect(await steps()).toEqual(['alarm a 2']);
  expect(await readFile(join(folder, 'metrics.previous.jsonl'), 'utf8')).toContain('"step":1');
});

const mayMount = process.getuid?.() === 0 && process.platform === 'linux';
describe.skipIf(!mayMount)('on a disk that is full for a while', () => {
  test('lines wait for room, told once; none is lost or torn', async () => {
    const disk = join(folder, 'disk');
    await mkdir(disk);
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]).status).toBe(0);
    try {
      const log = open(false, disk);
      log.append(alarm('a', 0));
      await writeFile(join(disk, 'ballast'), Buffer.alloc(1 << 20)).catch(() => {});
      for (let step = 1; step < 200; step++) log.append(alarm('a', step));
      expect(troubles).toHaveLength(1);
      expect(troubles[0]).toMatch(/^metrics: cannot write .*metrics[.]jsonl .*training goes on/);
      await rm(join(disk, 'ballast'));
      log.append(alarm('a', 200));
      log.close();
      const known = (await readFile(join(disk, 'metrics.jsonl'), 'utf8')).trim().split('\n');
      const seen = known.flatMap((line) => {
        try {
          return [(JSON.parse(line) as { step: number }).step];
        } catch {
          return [];
        }
      });
      expect(seen).toEqual(Array.from({ length: 201 }, (_, step) => step));
    } finally {
      spawnSync('umount', [disk]);
    }
  });
});
