import { type ChildProcess, execSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Philox } from '@unif2ace/graph';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LlmCaptioner } from '../llm/captioner.ts';
import { LlmEndpoint } from '../llm/endpoint.ts';
import { LlmQuestionWriter } from '../llm/question-writer.ts';
import { type Answer, type FakeEndpoint, fakeEndpoint, plainContent } from '../llm/test/fake-endpoint.ts';
import { type BuildOptions, buildDataset } from './build-dataset.ts';
import { openPostgresStore } from './pg-store.ts';
import { queueAhead } from './queue.ts';
import { resultStoreOf } from './store.ts';
import { writeTinyCelebA } from './test/tiny-celeba.ts';

// needs a PostgreSQL: UNIF2ACE_POSTGRES is its address, UNIF2ACE_POSTGRES_RESTART a command that restarts it at once
const url = process.env.UNIF2ACE_POSTGRES ?? '';
const restart = process.env.UNIF2ACE_POSTGRES_RESTART;

let root: string;
let celeba: string;
const workers: { child: ChildProcess; batches: string[] }[] = [];

function startWorker(...more: string[]): (typeof workers)[number] {
  const script = join(import.meta.dirname, 'test', 'work-process.ts');
  const child = spawn('node', ['--import', 'tsx', '--conditions=source', script, url, ...more]);
  const worker = { child, batches: [] as string[] };
  child.stdout.on('data', (text) => worker.batches.push(...String(text).trim().split('\n')));
  workers.push(worker);
  return worker;
}

async function manifest(folder: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(join(folder, 'dataset.json')))
    .digest('hex');
}

async function buildOnQueue(out: string): Promise<number> {
  const store = await openPostgresStore(url);
  const ahead = await queueAhead(url);
  try {
    const summary = await buildDataset({ sources: [celeba], out, classifierFolder: null, threads: 1, store, ahead });
    return summary.faces;
  } finally {
    await ahead.close();
    await store.close();
  }
}

async function forget(): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  await client.query('drop table if exists unif2ace_results');
  await client.end();
}

/** Rows in the store of all stages; 0 before there is one. */
async function resultsKept(): Promise<number> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query('select count(*) from unif2ace_results').catch(() => ({ rows: [{ count: 0 }] }));
  await client.end();
  return Number(rows[0].count);
}

describe.skipIf(!url)('a build on PostgreSQL with two workers (UNIF2ACE_POSTGRES)', () => {
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'queue-'));
    celeba = join(root, 'celeba');
    await writeTinyCelebA(celeba, 150, 3);
    await buildDataset({ sources: [celeba], out: join(root, 'alone'), classifierFolder: null, threads: 1 });
    startWorker();
    startWorker();
  });
  afterAll(async () => {
    for (const { child } of workers) child.kill('SIGKILL');
    await rm(root, { recursive: true, force: true });
  });

  test('gives the bytes of a build on one host', async () => {
    await forget();
    const [first, second] = workers;
    expect(await buildOnQueue(join(root, 'queued'))).toBe(150);
    expect(await manifest(join(root, 'queued'))).toBe(await manifest(join(root, 'alone')));
    const done = [...first!.batches, ...second!.batches];
    expect(done.filter((line) => line.startsWith('photos')).length).toBeGreaterThanOrEqual(5);
    expect(done.filter((line) => line.startsWith('faces')).length).toBeGreaterThanOrEqual(5);
  });

  test.skipIf(!restart)('outlives a database that restarts and a worker that is killed', async () => {
    await forget();
    const built = buildOnQueue(join(root, 'shaken'));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    workers[0]!.child.kill('SIGKILL');
    execSync(restart!, { stdio: 'ignore' });
    startWorker();
    expect(await built).toBe(150);
    expect(await manifest(join(root, 'shaken'))).toBe(await manifest(join(root, 'alone')));
  });

  test('outlives kills of the build and of workers, whatever is done by then', { timeout: 600_000 }, async () => {
    await forget();
    const out = join(root, 'killed');
    const script = join(import.meta.dirname, 'test', 'queue-build-process.ts');
    const random = new Philox(5);
    // of 750 results: photos and their hashes first, then captions, corrections and questions
    for (const [from, victim] of [
      [20, 'build'],
      [150, 'worker'],
      [250, 'build'],
      [330, 'build'],
      [450, 'worker'],
      [600, 'build'],
    ] as const) {
      const child = spawn('node', ['--import', 'tsx', '--conditions=source', script, celeba, out, url], {
        stdio: 'ignore',
      });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      const enough = from + random.int(60);
      while (child.exitCode === null && (await resultsKept()) < enough)
        await new Promise((resolve) => setTimeout(resolve, 20));
      if (victim === 'worker') {
        workers.find((worker) => worker.child.exitCode === null && !worker.child.killed)!.child.kill('SIGKILL');
        startWorker();
      }
      child.kill('SIGKILL');
      await ended;
    }
    expect(await buildOnQueue(out)).toBe(150);
    expect(await manifest(out)).toBe(await manifest(join(root, 'alone')));
  });

  test('a server that is not there is one clear line, without the password', async () => {
    const gone = 'postgres://someone:secret@127.0.0.1:1/none';
    await expect(queueAhead(gone)).rejects.toThrow(
      /^data: expected a job queue at postgres:\/\/127\.0\.0\.1:1\/none, got .*; try whether PostgreSQL runs$/,
    );
  });
});

describe.skipIf(!url)('a language model behind a queue (UNIF2ACE_POSTGRES)', () => {
  const faces = 40;
  /** Captions, their correction and questions. */
  const requestsPerFace = 3;
  /** First answers to what is given up in the end, and how often each is asked with one retry. */
  const asked = { refusal: 2, prose: 2, 'wrong-schema': 2, 'status 422': 1, 'status 500': 2 } as const;
  type Fate = keyof typeof asked | 'ok';
  const fates: readonly Fate[] = ['refusal', 'prose', 'wrong-schema', 'status 422', 'status 500'];
  let fake: FakeEndpoint;
  let folder: string;
  let worker: ChildProcess;

  /** Keys are hashes, the same in every run: a fifth of the requests come to a bad end. */
  const fateOf = (key: string): Fate => fates[Number.parseInt(key.slice(0, 4), 16) % 25] ?? 'ok';
  const answerOf = (key: string): Answer => {
    const fate = fateOf(key);
    return fate.startsWith('status ') ? { status: Number(fate.slice(7)) } : (fate as Answer);
  };

  async function build(out: string, more: Partial<BuildOptions> = {}) {
    const store = await openPostgresStore(url);
    const ahead = await queueAhead(url);
    const endpoint = new LlmEndpoint({
      baseURL: fake.baseURL,
      apiKey: 'build',
      model: 'fake',
      store: resultStoreOf(store),
      maxRetries: 1,
    });
    try {
      return await buildDataset({
        sources: [join(folder, 'celeba')],
        out: join(folder, out),
        classifierFolder: null,
        threads: 1,
        store,
        ahead,
        captioner: new LlmCaptioner(endpoint),
        questionWriter: new LlmQuestionWriter(endpoint),
        ...more,
      });
    } finally {
      await ahead.close();
      await store.close();
    }
  }

  /** Requests since the last call: how often each was sent, and by whom. */
  function requests() {
    const seen = fake.seen.splice(0);
    const counts = new Map<string, number>();
    for (const { key } of seen) counts.set(key, (counts.get(key) ?? 0) + 1);
    return { counts, byWorker: seen.filter(({ apiKey }) => apiKey === 'worker').length, all: seen.length };
  }

  beforeAll(async () => {
    await forget();
    folder = await mkdtemp(join(tmpdir(), 'queue-llm-'));
    await writeTinyCelebA(join(folder, 'celeba'), faces, 5);
    fake = await fakeEndpoint({ answer: ({ key }) => answerOf(key), content: plainContent });
    worker = startWorker(fake.baseURL).child;
  });
  afterAll(async () => {
    worker.kill('SIGKILL');
    await fake.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('what it does not answer is asked by the worker alone, and the worker goes on', {
    timeout: 120_000,
  }, async () => {
    const { faces: kept, rejected } = await build('first');
    const { counts, byWorker, all } = requests();
    expect(byWorker).toBe(all);
    const ends = new Map<Fate, number>();
    for (const [key, count] of counts) {
      const fate = fateOf(key);
      expect([fate, count]).toEqual([fate, fate === 'ok' ? 1 : asked[fate]]);
      ends.set(fate, (ends.get(fate) ?? 0) + 1);
    }
    for (const fate of fates) expect(ends.get(fate), fate).toBeGreaterThan(0);
    expect(ends.get('ok')).toBeGreaterThanOrEqual(kept * requestsPerFace);
    const buried = counts.size - ends.get('ok')!;
    expect(kept).toBe(faces - buried);
    expect(rejected).toHaveLength(buried);
    for (const { stage, reason, wanted } of rejected) {
      expect({ stage, wanted }).toEqual({ stage: 'caption', wanted: undefined });
      expect(reason).toMatch(
        / of face [0-9a-f]{32}: expected .*, got "(refused|prose|schema|rejected|server)" .*; try /,
      );
    }
  });

  test('a later build asks only for what was never answered, and only once more', { timeout: 120_000 }, async () => {
    await build('second');
    const { counts, byWorker, all } = requests();
    expect(byWorker).toBe(all);
    expect(counts.size).toBeGreaterThan(0);
    for (const [key, count] of counts) expect([fateOf(key), count]).toEqual(['status 500', asked['status 500']]);
    expect(await manifest(join(folder, 'second'))).toBe(await manifest(join(folder, 'first')));
  });

  test('told to ask again it does so, by the worker alone', { timeout: 120_000 }, async () => {
    const { rejected } = await build('third', { askAgain: true });
    const { counts, byWorker, all } = requests();
    expect(byWorker).toBe(all);
    expect(counts.size).toBe(rejected.length);
    for (const [key, count] of counts)
      expect([fateOf(key), count]).toEqual([fateOf(key), asked[fateOf(key) as 'prose']]);
    expect(await manifest(join(folder, 'third'))).toBe(await manifest(join(folder, 'first')));
  });
});
