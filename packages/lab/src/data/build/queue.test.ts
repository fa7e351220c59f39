import { type ChildProcess, execSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildDataset } from './build-dataset.ts';
import { openPostgresStore } from './pg-store.ts';
import { queueAhead } from './queue.ts';
import { writeTinyCelebA } from './test/tiny-celeba.ts';

// needs a PostgreSQL: UNIF2ACE_POSTGRES is its address, UNIF2ACE_POSTGRES_RESTART a command that restarts it at once
const url = process.env.UNIF2ACE_POSTGRES ?? '';
const restart = process.env.UNIF2ACE_POSTGRES_RESTART;

let root: string;
let celeba: string;
const workers: { child: ChildProcess; batches: string[] }[] = [];

function startWorker(): (typeof workers)[number] {
  const script = join(import.meta.dirname, 'test', 'work-process.ts');
  const child = spawn('node', ['--import', 'tsx', '--conditions=source', script, url]);
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

  test('a server that is not there is one clear line, without the password', async () => {
    const gone = 'postgres://someone:secret@127.0.0.1:1/none';
    await expect(queueAhead(gone)).rejects.toThrow(
      /^data: expected a job queue at postgres:\/\/127\.0\.0\.1:1\/none, got .*; try whether PostgreSQL runs$/,
    );
  });
});
