import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openDataset } from '../export/read-dataset.ts';
import { LlmCaptioner } from '../llm/captioner.ts';
import { LlmEndpoint } from '../llm/endpoint.ts';
import type { LlmEvent } from '../llm/events.ts';
import { LlmQuestionWriter } from '../llm/question-writer.ts';
import {
  type Answer,
  type AskedRequest,
  FakeClock,
  type FakeEndpoint,
  fakeEndpoint,
  plainContent,
  shoesQuestion,
} from '../llm/test/fake-endpoint.ts';
import { buildDataset } from './build-dataset.ts';
import { BatchesPending } from './llm-batches.ts';
import { openLmdbStore, resultStoreOf } from './store.ts';
import { writeTinyCelebA } from './test/tiny-celeba.ts';

const faces = 10;
/** Captions, their correction and questions. */
const requestsPerFace = 3;

let root: string;
let celeba: string;
let fake: FakeEndpoint;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'llm-build-'));
  celeba = join(root, 'celeba');
  await writeTinyCelebA(celeba, faces);
});
afterEach(() => fake.close());
afterAll(() => rm(root, { recursive: true, force: true }));

async function serve(answer: (request: AskedRequest) => Answer, latencyMs = 0): Promise<void> {
  fake = await fakeEndpoint({ answer, latencyMs, content: plainContent });
}

/** A run of the build: only its folder and its store outlive it. */
async function build(out: string, ask: 'now' | 'batch' = 'now', askAgain = false) {
  const events: LlmEvent[] = [];
  const path = join(root, out);
  const store = await openLmdbStore(`${path}.work`);
  const endpoint = new LlmEndpoint({
    baseURL: fake.baseURL,
    apiKey: '',
    model: 'fake',
    store: resultStoreOf(store),
    clock: new FakeClock(),
    maxRetries: 2,
    ask,
    onEvent: (event) => events.push(event),
  });
  const summary = await buildDataset({
    sources: [celeba],
    out: path,
    classifierFolder: null,
    threads: 1,
    store,
    captioner: new LlmCaptioner(endpoint),
    questionWriter: new LlmQuestionWriter(endpoint),
    askAgain,
    ...(ask === 'batch' && { batch: { endpoint, options: { statePath: `${path}.batches.json` } } }),
  }).finally(() => store.close());
  return { summary, events };
}

const files = async (out: string) => {
  const folder = join(root, out);
  const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  return new Map(
    await Promise.all(
      names.map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        return [path.slice(folder.length), (await readFile(path)).toString('base64')] as const;
      }),
    ),
  );
};

describe('a build by a language model', () => {
  test('comes through every fault; what cannot be answered is listed with its reason', async () => {
    const tries = new Map<string, number>();
    const faults: Answer[] = [
      { status: 429, headers: { 'retry-after': '7' } },
      { status: 500 },
      'cut',
      'prose',
      'wrong-schema',
      'empty',
      'no-completion',
      'fenced',
    ];
    let refused = '';
    await serve(({ key }) => {
      refused ||= key;
      if (key === refused) return 'refusal';
      const attempt = tries.get(key) ?? 0;
      tries.set(key, attempt + 1);
      return attempt === 0 ? faults[tries.size % faults.length]! : 'ok';
    });
    const { summary, events } = await build('faults');
    expect(summary.faces).toBe(faces - 1);
    expect(summary.rejected).toEqual([
      expect.objectContaining({
        stage: 'caption',
        reason: expect.stringMatching(/^captions? of face .*, got "refused"/),
      }),
    ]);
    const rejections = await readFile(join(root, 'faults', 'rejections.jsonl'), 'utf8');
    expect(JSON.parse(rejections)).toEqual(summary.rejected[0]);
    expect(events).toContainEqual(expect.objectContaining({ type: 'paused', forMs: 7000 }));
    expect(fake.completed.size).toBe(requestsPerFace * (faces - 1));
    expect([...fake.completed.values()]).toEqual(new Array(fake.completed.size).fill(1));
    for await (const record of (await openDataset(join(root, 'faults'))).records())
      expect(record.questions).toMatchObject([shoesQuestion]);

    fake.seen.length = 0;
    expect((await build('faults')).summary.rejected).toEqual(summary.rejected);
    expect(fake.seen).toEqual([]);
    expect((await build('faults', 'now', true)).summary.rejected).toEqual(summary.rejected);
    expect(fake.seen.map(({ key }) => key)).toEqual([refused, refused]);
  });

  test('killed again and again it asks for nothing twice but what was under way, and ends with the same bytes', async () => {
    await serve(() => 'ok', 20);
    await build('whole');
    const whole = await files('whole');
    fake.completed.clear();
    fake.seen.length = 0;
    const args = ['--import', 'tsx', '--conditions=source', join(import.meta.dirname, 'test', 'llm-build-process.ts')];
    const run = (killAfter: number) =>
      new Promise<number | null>((resolve, reject) => {
        const seen = fake.seen.length;
        const child = spawn(process.execPath, [...args, celeba, join(root, 'killed'), fake.baseURL], {
          stdio: 'ignore',
        });
        const watch = setInterval(() => {
          if (fake.seen.length - seen >= killAfter) child.kill('SIGKILL');
        }, 2);
        child.on('error', reject);
        child.on('exit', (code) => {
          clearInterval(watch);
          resolve(code);
        });
      });
    const kills = [1, 4, 7, 5];
    for (const after of kills) expect(await run(after)).toBeNull();
    expect(await run(Number.POSITIVE_INFINITY)).toBe(0);
    const answered = [...fake.completed.values()].reduce((a, b) => a + b, 0);
    expect(fake.completed.size).toBe(requestsPerFace * faces);
    // two on their way, and two whose answers were being written
    expect(answered).toBeLessThanOrEqual(requestsPerFace * faces + 4 * kills.length);
    expect(await files('killed')).toEqual(whole);
  });

  test('in batches: submitted, left, collected by later runs, three rounds to the same bytes', async () => {
    await serve(() => 'ok');
    for (let round = 0; round < requestsPerFace; round++) {
      const pending = await build('batched', 'batch').then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(pending).toBeInstanceOf(BatchesPending);
      expect(pending).toMatchObject({ requests: faces, batches: 1 });
      // asked again before the batch has ended, it sends nothing
      await expect(build('batched', 'batch')).rejects.toThrow(
        `data build: ${faces} requests wait in 1 batch; run the same command again later to go on`,
      );
      expect(fake.batches).toHaveLength(round + 1);
      fake.finish(fake.batches[0]!, () => 'ok');
    }
    await build('batched', 'batch');
    expect(fake.seen).toEqual([]);
    expect([...fake.completed.values()]).toEqual(new Array(requestsPerFace * faces).fill(1));
    expect(await files('batched')).toEqual(await files('whole'));
  });

  test('in batches: an item that is refused is given up, the others go on', async () => {
    await serve(() => 'ok');
    let refused = '';
    const finish = () => {
      for (const batch of fake.batches.filter(({ status }) => status === 'in_progress'))
        fake.finish(batch, (key) => {
          refused ||= key;
          return key === refused ? 'refusal' : 'ok';
        });
    };
    for (let round = 0; round < 10; round++) {
      const done = await build('refused', 'batch').then(
        ({ summary }) => summary,
        (error: unknown) => {
          expect(error).toBeInstanceOf(BatchesPending);
        },
      );
      if (!done) {
        finish();
        continue;
      }
      expect(done.faces).toBe(faces - 1);
      expect(done.rejected).toEqual([expect.objectContaining({ reason: expect.stringContaining('"refused"') })]);
      return;
    }
    throw new Error('never done');
  });
});
