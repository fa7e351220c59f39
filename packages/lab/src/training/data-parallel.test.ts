import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { writeTinyCelebA } from '../data/build/test/tiny-celeba.ts';
import { hasMpirun, ranksOf } from './collective/test/mpirun.ts';
import type { TrainEvent } from './events.ts';
import { runRecipe } from './run-recipe.ts';
import { changedRecipe, leapingClock, type RecipeChanges } from './test/ranks-recipe.ts';
import { tinyStage } from './test/tiny-recipe.ts';

const hasMpi = hasMpirun();
let root: string;
let data: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'unif2ace-ranks-'));
  data = join(root, 'celeba');
  if (hasMpi) await writeTinyCelebA(data, 20);
});
afterAll(() => rm(root, { recursive: true, force: true }));
afterEach(() => vi.restoreAllMocks());

interface Job {
  mpirun: ChildProcess;
  /** Once all is over. */
  ended: Promise<{ code: number | null; events: TrainEvent[]; errors: string }>;
  kill: (rank: number) => Promise<void>;
}

/** Two ranks that train into a folder; `watch` sees each event of rank 0 as it comes. */
async function launch(
  out: string,
  changes: RecipeChanges,
  { watch, dataOfRank1 }: { watch?: (event: TrainEvent, job: Job) => void; dataOfRank1?: string } = {},
): Promise<Job> {
  const folder = join(root, out);
  await mkdir(folder, { recursive: true });
  const module = join(import.meta.dirname, 'test', 'rank-process.ts');
  const args = [folder, data, ...(dataOfRank1 ? [dataOfRank1] : [])];
  const mpirun = spawn('mpirun', ranksOf(2, module, args), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, UNIF2ACE_TEST_RECIPE: JSON.stringify(changes) },
  });
  const events: TrainEvent[] = [];
  let [line, errors] = ['', ''];
  const ended = new Promise<{ code: number | null; events: TrainEvent[]; errors: string }>((resolve) => {
    mpirun.once('close', (code) => resolve({ code, events, errors }));
  });
  const kill = async (rank: number) => {
    process.kill(Number(await readFile(join(folder, `rank-${rank}.pid`), 'utf8')), 'SIGKILL');
  };
  const job = { mpirun, ended, kill };
  mpirun.stderr!.on('data', (text) => {
    errors += text;
  });
  mpirun.stdout!.on('data', (text) => {
    const lines = (line + text).split('\n');
    line = lines.pop()!;
    for (const whole of lines) {
      const event = JSON.parse(whole) as TrainEvent;
      events.push(event);
      watch?.(event, job);
    }
  });
  return job;
}

/** Loss of each step, by stage. */
function curves(events: readonly TrainEvent[]): Record<string, number[]> {
  const byStage: Record<string, number[]> = {};
  for (const event of events)
    if (event.kind === 'progress') byStage[event.stage] = [...(byStage[event.stage] ?? []), event.loss];
  return byStage;
}

const weightsOf = (out: string) => readFile(join(root, out, 'model.safetensors'));

describe.skipIf(!hasMpi)('training on two ranks', { timeout: 600_000 }, () => {
  test('is training on one: with two parts a step to the bit, with whole batches to 1e-5', async () => {
    // balance and entropy are figures of a part; all other losses are means over examples
    const steps = 10;
    const images = { ...tinyStage, steps, batch: 4 };
    const recipe = {
      stage: { steps, balanceCoefficient: 0 },
      recipe: { faceEncoder: images, tokenizer: images },
      entropyWeight: 0,
    };
    const two = await (await launch('two', recipe)).ended;
    expect(two.code, two.errors).toBe(0);
    vi.spyOn(performance, 'now').mockImplementation(leapingClock);
    const alone = async (out: string, accumulation: number) => {
      const { faceEncoder, tokenizer, ...rest } = changedRecipe({
        ...recipe,
        stage: { ...recipe.stage, accumulation },
      });
      const whole = {
        ...rest,
        faceEncoder: { ...faceEncoder, accumulation },
        tokenizer: { ...tokenizer, accumulation },
      };
      const events: TrainEvent[] = [];
      await runRecipe(whole, { out: join(root, out), dataFolder: data, onEvent: (event) => events.push(event) });
      return curves(events);
    };
    const got = curves(two.events);
    expect(Object.keys(got)).toEqual(['face encoder', 'tokenizer', 'questions']);
    for (const losses of Object.values(got)) expect(losses).toHaveLength(steps);
    expect(await alone('parts', 2)).toEqual(got);
    expect(await weightsOf('two')).toEqual(await weightsOf('parts'));
    const differences = Object.entries(await alone('one', 1)).flatMap(([stage, losses]) =>
      losses.map((loss, step) => Math.abs(loss - got[stage]![step]!)),
    );
    expect(Math.max(...differences)).toBeLessThan(1e-5);
  });

  test('a rank that is killed ends the job; what is resumed has the bytes of what was never disturbed', async () => {
    const adversary = { weight: 0.1, fromStep: 1, channels: [8, 8], learningRate: 1e-3 };
    const recipe = {
      stage: { steps: 30 },
      recipe: { tokenizer: { ...tinyStage, batch: 4, steps: 30, perceptualWeight: 0.5, adversary } },
    };
    const whole = await (await launch('whole', recipe)).ended;
    expect(whole.code, whole.errors).toBe(0);
    const random = (low: number, high: number) => low + Math.floor(Math.random() * (high - low + 1));
    const disturbances = [
      { stage: 'tokenizer', step: random(1, 15), act: (job: Job) => job.kill(1) },
      { stage: 'questions', step: random(1, 15), act: (job: Job) => job.kill(0) },
      { stage: 'questions', step: random(16, 25), act: (job: Job) => job.mpirun.kill('SIGUSR2') },
    ];
    for (const [i, { stage, step, act }] of disturbances.entries()) {
      let done = false;
      const watch = (event: TrainEvent, job: Job) => {
        if (done || event.kind !== 'progress' || event.stage !== stage || event.step < step) return;
        done = true;
        act(job);
      };
      const { code, errors } = await (await launch('disturbed', recipe, { watch })).ended;
      const where = `${stage} step ${step}: ${errors}`;
      expect(done, where).toBe(true);
      expect(code, where).not.toBe(0);
      if (i < 2) expect(errors, where).toMatch(/exited on signal 9 [(]Killed[)]/);
      else expect(errors, where).toMatch(/train: stopped in questions at step \d+ of 30/);
      expect(errors, where).toMatch(/rank [01]: told to end, as when another rank died; go on with --resume/);
    }
    const last = await (await launch('disturbed', recipe)).ended;
    expect(last.code, last.errors).toBe(0);
    expect(last.events).toContainEqual({ kind: 'log', text: expect.stringMatching(/^resumed: questions at step/) });
    expect(await weightsOf('disturbed')).toEqual(await weightsOf('whole'));
  });

  test('a rank that fails says so in one line and ends the others', async () => {
    const { code, errors } = await (await launch('failed', {}, { dataOfRank1: join(root, 'nowhere') })).ended;
    expect(code).toBe(1);
    expect(errors).toMatch(/^rank 1 of 2: .*nowhere/m);
  });

  test('batches that ranks cannot share evenly are refused', async () => {
    const uneven = { recipe: { faceEncoder: { ...tinyStage, batch: 5 } } };
    const { code, errors } = await (await launch('uneven', uneven)).ended;
    expect(code).toBe(1);
    expect(errors).toMatch(
      /^rank 0 of 2: train: faceEncoder.batch: expected a multiple of 2 ranks times accumulation 1, got 5; try 6$/m,
    );
  });
});
