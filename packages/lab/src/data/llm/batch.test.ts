import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FaceToDescribe } from '../build/types.ts';
import { collectBatch, submitBatch } from './batch.ts';
import type { BatchState } from './batch-state.ts';
import { LlmCaptioner } from './captioner.ts';
import { LlmEndpoint } from './endpoint.ts';
import { LlmRunError } from './faults.ts';
import { type Answer, FakeClock, type FakeEndpoint, fakeEndpoint, MemoryStore } from './test/fake-endpoint.ts';

const captions = ['A man.'];
const face = (id: string): FaceToDescribe => ({
  id,
  facts: { Male: true },
  image: async () => new TextEncoder().encode('secret-image'),
  seed: 1,
});
/** A step may end its run. */
const endsRun = (error: unknown): undefined => {
  expect(error).toBeInstanceOf(LlmRunError);
};
const ids = ['a', 'b', 'c', 'd', 'e'];

let folder: string;
let fake: FakeEndpoint;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-batch-'));
  fake = await fakeEndpoint({ answer: () => 'ok', content: () => ({ captions }) });
});
afterEach(async () => {
  await fake.close();
  await rm(folder, { recursive: true });
});

/** A process: nothing but store and state file outlives it. */
function process(store = new MemoryStore(), maxRetries = 2) {
  const endpoint = new LlmEndpoint({
    baseURL: fake.baseURL,
    apiKey: 'key',
    model: 'fake',
    store,
    maxRetries,
    clock: new FakeClock(),
    pricePerMillionTokens: { input: 1, output: 10 },
  });
  const captioner = new LlmCaptioner(endpoint);
  async function* requests() {
    for (const id of ids) yield await captioner.captionRequest(face(id));
  }
  const options = { statePath: join(folder, 'batch.json') };
  return {
    endpoint,
    captioner,
    store,
    submit: (more = {}) => submitBatch(endpoint, requests, { ...options, ...more }),
    collect: (more = {}) => collectBatch(endpoint, requests, { ...options, ...more }),
    state: async () => JSON.parse(await readFile(options.statePath, 'utf8')) as BatchState,
    setState: (state: BatchState) => writeFile(options.statePath, JSON.stringify(state)),
  };
}

describe('a batch', () => {
  it('is submitted, waited for by another process, and collected into the same store', async () => {
    const first = process();
    await first.submit();
    expect(fake.batches).toHaveLength(1);
    const lines = fake.files.get(fake.batches[0]!.input_file_id)!.trim().split('\n');
    expect(JSON.parse(lines[0]!)).toMatchObject({
      custom_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      method: 'POST',
      url: '/v1/chat/completions',
      body: { model: 'fake', response_format: { type: 'json_schema' } },
    });
    expect(JSON.stringify(await first.state())).not.toMatch(/secret|c2VjcmV0|man/i);

    const second = process(first.store);
    expect(await second.collect()).toEqual({ status: 'pending', batches: 1, requests: 5 });
    fake.finish(fake.batches[0]!, () => 'ok');
    const done = await second.collect();
    expect(done).toMatchObject({ status: 'done', deadLetters: [] });
    expect(done.status === 'done' && [...done.results.values()]).toEqual(ids.map(() => ({ captions })));
    expect(second.endpoint.tally).toMatchObject({ replies: 5, cost: 0.005 });
    expect(await process(first.store).captioner.caption(face('c'))).toEqual(captions);
    expect(fake.seen).toEqual([]);
    expect((await second.submit()).batches).toEqual([]);
    expect(fake.batches).toHaveLength(1);
  });

  it('is split by requests and bytes, without what is already answered', async () => {
    const { submit, captioner, collect } = process();
    await captioner.caption(face('b'));
    await submit({ maxRequests: 3 });
    expect(fake.batches).toHaveLength(2);
    for (const batch of fake.batches) fake.finish(batch, () => 'ok');
    expect((await collect()).status).toBe('done');
    expect(Math.max(...fake.completed.values())).toBe(1);

    await rm(join(folder, 'batch.json'));
    const bytewise = process();
    await bytewise.submit({ maxBytes: 1 });
    expect(fake.batches).toHaveLength(7);
  });

  it('is found again after a crash between creating it and saving its id', async () => {
    const first = process();
    await first.submit({ maxRequests: 1 });
    const state = await first.state();
    delete state.batches[0]!.batchId;
    await first.setState(state);
    const again = await process(first.store).submit({ maxRequests: 1 });
    expect(fake.batches).toHaveLength(5);
    expect(again.batches.map(({ batchId }) => batchId).sort()).toEqual(fake.batches.map(({ id }) => id).sort());
  });

  it('is created after a crash before it was', async () => {
    const first = process();
    await first.submit();
    const state = await first.state();
    delete state.batches[0]!.batchId;
    await first.setState(state);
    fake.batches.length = 0;
    await process(first.store).submit();
    expect(fake.batches).toHaveLength(1);
  });

  it('is created once, however the calls fail', async () => {
    for (const batchFaults of [[500], ['cut'], [0, 'cut'], [0, 500, 500], [0, 'cut', 'cut', 500]] as (
      | number
      | 'cut'
    )[][]) {
      fake.batches.length = 0;
      // 0: no fault for this call
      fake.batchFaults = batchFaults;
      await rm(join(folder, 'batch.json'), { force: true });
      await process(undefined, 4).submit();
      expect(fake.batches).toHaveLength(1);
    }
  });

  it('resubmits what failed or expired, and gives up what was refused or rejected', async () => {
    const { submit, collect, endpoint, captioner, store } = process();
    await submit();
    const keys = await Promise.all(ids.map(async (id) => (await captioner.captionRequest(face(id))).key));
    const plan: Answer[] = ['ok', 'wrong-schema', { status: 400 }, { status: 500 }, 'refusal'];
    fake.finish(fake.batches[0]!, (key) => plan[keys.indexOf(key)]!);
    expect(await collect()).toEqual({ status: 'pending', batches: 1, requests: 3 });
    const told = fake.files.get(fake.batches[0]!.input_file_id)!;
    expect(told).toContain('could not be used: captions: Invalid input: expected array');
    expect(told).not.toContain('a secret answer');
    fake.finish(
      fake.batches[0]!,
      (key) => (key === keys[4] ? 'refusal' : key === keys[3] ? 'expired' : 'ok'),
      'expired',
    );
    expect(await collect()).toEqual({ status: 'pending', batches: 1, requests: 1 });
    fake.finish(fake.batches[0]!, () => 'empty');
    const done = await process(store).collect();
    expect(
      done.status === 'done' && done.deadLetters.map(({ faceId, reason, attempts }) => [faceId, reason, attempts]),
    ).toEqual([
      ['c', 'rejected', 1],
      ['e', 'refused', 2],
      ['d', 'empty', 3],
    ]);
    expect(done.status === 'done' && [...done.results.keys()]).toEqual([keys[0], keys[1]]);
    expect(endpoint.deadLetters).toHaveLength(2);
    expect((await submit()).batches).toEqual([]);
  });

  it('goes on without response_format where it is not known', async () => {
    const { submit, collect } = process(undefined, 0);
    await submit();
    fake.finish(fake.batches[0]!, () => 'unstructured');
    expect((await collect()).status).toBe('pending');
    fake.finish(fake.batches[0]!, () => 'unstructured');
    expect(await collect()).toMatchObject({ status: 'done', deadLetters: [] });
  });

  it('ends the run when it failed as a whole, the key is wrong, or there is no such service', async () => {
    const { submit, collect } = process();
    await submit();
    fake.batches[0]!.status = 'failed';
    await expect(collect()).rejects.toThrow(/expected batch-\d+ to be taken, got "failed"/);
    fake.batchFaults = [401];
    await expect(submit()).rejects.toThrow(/to accept the API key/);
    fake.batchFaults = Array.from({ length: 3 }, () => 500);
    await expect(process().submit()).rejects.toThrow(/expected the endpoint to serve batches, got "server" \(500\)/);
    fake.batchFaults = [400];
    await expect(process().submit()).rejects.toBeInstanceOf(LlmRunError);
    await process().submit();
    expect(fake.batches).toHaveLength(2);
  });

  it('refuses a state file that is none, or of another model', async () => {
    const { submit, setState, state } = process();
    await submit();
    await setState({ ...(await state()), model: 'another' });
    await expect(submit()).rejects.toThrow(/expected .* to belong to model "fake", got "another"/);
    await writeFile(join(folder, 'batch.json'), '{');
    await expect(submit()).rejects.toThrow(/expected a batch state of version 1/);
  });

  it('under any faults ends each item once, and pays for no answer twice', async () => {
    const lineAnswer = fc.constantFrom<Answer | 'expired'>('ok', 'prose', 'refusal', 'expired', { status: 500 });
    const callFault = fc.constantFrom<number | 'cut'>(0, 0, 500, 'cut', 503);
    await fc.assert(
      fc.asyncProperty(
        fc.array(lineAnswer, { maxLength: 25 }),
        fc.array(callFault, { maxLength: 12 }),
        fc.integer({ min: 1, max: 5 }),
        async (answers, batchFaults, maxRequests) => {
          const statePath = join(folder, 'any.json');
          await rm(statePath, { force: true });
          fake.batches.length = 0;
          fake.completed.clear();
          fake.batchFaults = [...batchFaults];
          const left = [...answers];
          const store = new MemoryStore();
          for (let round = 0; ; round++) {
            expect(round).toBeLessThan(40);
            // Every step in a new process, which may fail on the way
            await process(store).submit({ maxRequests, statePath }).catch(endsRun);
            for (const batch of fake.batches)
              if (batch.status === 'in_progress') fake.finish(batch, () => left.shift() ?? 'ok');
            const progress = await process(store).collect({ maxRequests, statePath }).catch(endsRun);
            if (progress?.status !== 'done') continue;
            if (progress.results.size + progress.deadLetters.length < ids.length) continue;
            expect(progress.results.size + progress.deadLetters.length).toBe(ids.length);
            for (const { key } of progress.deadLetters) expect(progress.results.has(key)).toBe(false);
            break;
          }
          for (const count of fake.completed.values()) expect(count).toBe(1);
        },
      ),
      { numRuns: 40, seed: 5 },
    );
  });
});
