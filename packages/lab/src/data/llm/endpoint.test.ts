import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { FaceToDescribe } from '../build/types.ts';
import { LlmCaptioner } from './captioner.ts';
import { LlmEndpoint, type LlmEndpointOptions } from './endpoint.ts';
import type { LlmEvent } from './events.ts';
import { LlmItemError, LlmRunError } from './faults.ts';
import {
  type Answer,
  type AskedRequest,
  FakeClock,
  type FakeEndpoint,
  fakeEndpoint,
  MemoryStore,
} from './test/fake-endpoint.ts';

const captions = ['A smiling man with a hat.', 'A man in a hat.'];
const jpeg = Uint8Array.of(0xff, 0xd8, 0xff, 0xd9);
const face = (id: string): FaceToDescribe => ({
  id,
  facts: { Male: true, Wearing_Hat: true, Attractive: true },
  sourceCaption: 'secret-prompt',
  image: async () => jpeg,
  seed: 7,
});

const open: FakeEndpoint[] = [];
afterEach(async () => {
  for (const fake of open.splice(0)) await fake.close();
});

type Script = Answer[] | ((seen: AskedRequest) => Answer);

async function start(script: Script = [], latencyMs = 0): Promise<FakeEndpoint> {
  const answers = Array.isArray(script) ? [...script] : [];
  const answer = typeof script === 'function' ? script : () => answers.shift() ?? 'ok';
  const fake = await fakeEndpoint({ answer, content: () => ({ captions }), latencyMs });
  open.push(fake);
  return fake;
}

function client(fake: FakeEndpoint, more: Partial<LlmEndpointOptions> = {}) {
  const events: LlmEvent[] = [];
  const clock = new FakeClock();
  const store = new MemoryStore();
  const endpoint = new LlmEndpoint({
    baseURL: fake.baseURL,
    apiKey: 'secret-key',
    model: 'fake-vl',
    store,
    timeoutMs: 5000,
    clock,
    onEvent: (event) => events.push(event),
    ...more,
  });
  return { endpoint, captioner: new LlmCaptioner(endpoint), events, clock, store };
}

const types = (events: LlmEvent[]) => events.map(({ type }) => type);
const failure = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => {
      throw new Error('expected a failure');
    },
    (error: Error) => error,
  );

describe('one request', () => {
  it('sends photo, schema and key, and keeps the answer before it returns', async () => {
    const fake = await start();
    const { captioner, store, events, endpoint } = client(fake, {
      seed: 3,
      pricePerMillionTokens: { input: 2.5, output: 10 },
    });
    expect(await captioner.caption(face('f1'))).toEqual(captions);
    const [seen] = fake.seen;
    const [system, user] = seen!.body.messages;
    const [image, text] = user!.content as { image_url?: { url: string }; text?: string }[];
    expect(image!.image_url!.url).toBe(`data:image/jpeg;base64,${Buffer.from(jpeg).toString('base64')}`);
    expect(text!.text).toContain('"secret-prompt"');
    expect(system!.content).toMatch(/Never mention or hint at race/);
    expect(seen!.body).toMatchObject({
      model: 'fake-vl',
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'captions',
          strict: true,
          schema: { additionalProperties: false, required: ['captions'] },
        },
      },
    });
    expect(seen!.body.seed).toBeGreaterThanOrEqual(0);
    expect([...store.values.keys()]).toEqual([seen!.idempotencyKey]);
    expect(seen!.idempotencyKey).toMatch(/^[0-9a-f]{32}$/);
    expect(endpoint.tally).toEqual({ replies: 1, inputTokens: 1000, outputTokens: 100, cost: 0.0035 });
    expect(types(events)).toEqual(['usage']);
  });

  it('tells the refiner the facts with their source, but no judgement of looks', async () => {
    const fake = await start();
    const { captioner } = client(fake);
    const factSources = { Wearing_Hat: { from: 'classifier' as const, probability: 0.93 } };
    await captioner.refine({ ...face('f1'), factSources }, ['An old caption.']);
    const text = JSON.stringify(fake.seen[0]!.body.messages);
    expect(text).toContain('- Male: yes (label)');
    expect(text).toContain('- Wearing_Hat: yes (classifier, 93 %)');
    expect(text).toContain('An old caption.');
    expect(text).not.toContain('Attractive');
  });

  it('has a key of its own for every face, seed, model and prompt input', async () => {
    const fake = await start();
    const { captioner } = client(fake);
    const other = client(fake, { model: 'other', store: new MemoryStore() }).captioner;
    const keys = await Promise.all([
      captioner.captionRequest(face('f1')),
      captioner.captionRequest(face('f2')),
      captioner.captionRequest({ ...face('f1'), seed: 8 }),
      captioner.captionRequest({ ...face('f1'), sourceCaption: 'another' }),
      captioner.captionRequest({ ...face('f1'), image: async () => Uint8Array.of(1) }),
      other.captionRequest(face('f1')),
      captioner.refineRequest(face('f1'), ['a']),
      captioner.refineRequest(face('f1'), ['b']),
    ]);
    expect(new Set(keys.map(({ key }) => key)).size).toBe(keys.length);
    expect((await captioner.captionRequest(face('f1'))).key).toBe(keys[0]!.key);
    expect(captioner.version).toMatch(/^llm:fake-vl#caption-v1-[0-9a-f]{8}\+fake-vl#refine-v1-[0-9a-f]{8}x3$/);
  });
});

describe('a fault', () => {
  it.each<[string, Answer[], string[]]>([
    ['500', [{ status: 500 }], ['server']],
    ['503 twice', [{ status: 503 }, { status: 503 }], ['server', 'server']],
    ['a cut body', ['cut'], ['connection']],
    ['prose', ['prose'], ['prose']],
    ['the wrong schema', ['wrong-schema'], ['schema']],
    ['nothing', ['empty'], ['empty']],
    ['half an answer', ['too-long'], ['cut-off']],
    ['a refusal', ['refusal'], ['refused']],
    ['the content filter', ['content-filter'], ['refused']],
    ['another body', ['no-completion'], ['server']],
    ['JSON within prose', ['fenced'], []],
  ])('is got over: %s', async (_, script, reasons) => {
    const fake = await start(script);
    const { captioner, events, clock } = client(fake);
    expect(await captioner.caption(face('f1'))).toEqual(captions);
    expect(events.flatMap((event) => (event.type === 'retry' ? [event.reason] : []))).toEqual(reasons);
    expect(clock.slept).toHaveLength(reasons.length);
  });

  it('is got over: a server that hangs', async () => {
    const fake = await start(['hang']);
    const { captioner, events } = client(fake, { timeoutMs: 150 });
    expect(await captioner.caption(face('f1'))).toEqual(captions);
    expect(events[0]).toMatchObject({ type: 'retry', reason: 'timeout', attempt: 1, status: null });
  });

  it('is told to the model when its answer was of the wrong form, under another idempotency key', async () => {
    const fake = await start(['wrong-schema', 'prose', { status: 500 }]);
    const { captioner } = client(fake);
    await captioner.caption(face('f1'));
    const [first, second, third, fourth] = fake.seen;
    expect(second!.body.messages.at(-2)).toEqual({
      role: 'assistant',
      content: '{"captions": "a secret answer", "questions": 3}',
    });
    expect(second!.body.messages.at(-1)!.content).toContain('captions: Invalid input: expected array');
    expect(third!.body.messages).toHaveLength(4);
    expect(third!.body.messages.at(-1)!.content).toContain('it is not JSON');
    expect([second, third, fourth].map((seen) => seen!.idempotencyKey)).toEqual([
      `${first!.key}-1`,
      `${first!.key}-2`,
      `${first!.key}-2`,
    ]);
  });

  it('ends at the bound: backoff doubles with jitter, then one dead letter', async () => {
    const fake = await start(() => ({ status: 500 }));
    const { captioner, clock, endpoint, events } = client(fake, { maxRetries: 5 });
    const error = await failure(captioner.caption(face('f1')));
    expect(error).toBeInstanceOf(LlmItemError);
    expect(error.message).toBe(
      'caption of face f1: expected captions as JSON, got "server" (status 500) after 6 attempts; try again later',
    );
    expect(fake.seen).toHaveLength(6);
    expect(clock.slept).toHaveLength(5);
    for (const [n, ms] of clock.slept.entries()) {
      expect(ms).toBeGreaterThanOrEqual(500 * 2 ** n);
      expect(ms).toBeLessThanOrEqual(1000 * 2 ** n);
    }
    expect(endpoint.deadLetters).toEqual([
      { key: fake.seen[0]!.key, faceId: 'f1', task: 'caption', reason: 'server', attempts: 6, status: 500, code: null },
    ]);
    expect(types(events).filter((type) => type === 'dead-letter')).toHaveLength(1);
  });

  it('is not tried again more than once when it is a refusal, and never when the request is rejected', async () => {
    const fake = await start(({ body }) =>
      JSON.stringify(body).includes('secret-prompt') ? 'refusal' : { status: 413 },
    );
    const { captioner, endpoint } = client(fake, { maxRetries: 9 });
    await failure(captioner.caption(face('f1')));
    await failure(captioner.caption({ ...face('f2'), sourceCaption: '' }));
    expect(fake.seen).toHaveLength(3);
    expect(endpoint.deadLetters.map(({ reason, attempts }) => [reason, attempts])).toEqual([
      ['refused', 2],
      ['rejected', 1],
    ]);
  });

  it('of response_format is remembered: the schema goes into the prompt', async () => {
    const fake = await start(() => 'unstructured');
    const { captioner, events } = client(fake);
    await captioner.caption(face('f1'));
    await captioner.caption(face('f2'));
    expect(fake.seen.map(({ body }) => body.response_format !== undefined)).toEqual([true, false, false]);
    expect(fake.seen[1]!.body.messages[0]!.content).toContain('"additionalProperties":false');
    expect(types(events)).toEqual(['unstructured', 'usage', 'usage']);
  });

  it.each([
    [401, /expected .* to accept the API key, got 401/],
    [403, /to accept the API key, got 403/],
    [404, /to serve model "fake-vl", got 404/],
    [402, /expected credit at/],
  ])('with status %i ends the whole run with one clear line', async (status, message) => {
    const fake = await start(() => ({ status }));
    const { captioner, events } = client(fake, { concurrency: 1 });
    const errors = await Promise.all(['a', 'b', 'c'].map((id) => failure(captioner.caption(face(id)))));
    for (const error of [...errors, await failure(captioner.caption(face('d')))]) {
      expect(error).toBeInstanceOf(LlmRunError);
      expect(error.message).toMatch(message);
      expect(error.message).not.toMatch(/secret|\n/);
    }
    expect(fake.seen).toHaveLength(1);
    expect(types(events)).toEqual(['stopped']);
  });

  it('that rejects every request ends the run, with the endpoint’s word for it', async () => {
    const fake = await start(() => ({ status: 400, code: 'unsupported_value' }));
    const { captioner, endpoint } = client(fake, { concurrency: 1 });
    const errors = await Promise.all(Array.from({ length: 30 }, (_, i) => failure(captioner.caption(face(`f${i}`)))));
    expect(errors[0]!.message).toMatch(/got "rejected" \(status 400 unsupported_value\) after 1 attempt;/);
    expect(errors[29]!.message).toMatch(/got 20 rejected in a row \(400 unsupported_value\)/);
    expect(endpoint.deadLetters).toHaveLength(19);
    // One may be on its way when the twentieth is answered
    expect(fake.seen.length).toBeLessThanOrEqual(21);
  });

  it('never shows prompt, image, answer or API key in errors and events', async () => {
    const script: Answer[] = ['wrong-schema', 'prose', { status: 500 }, { status: 400 }];
    const fake = await start(script);
    const { captioner, events } = client(fake);
    const error = await failure(captioner.caption(face('f1')));
    expect(error.cause).toBeUndefined();
    const shown = JSON.stringify([events, error.message, error.stack, (error as LlmItemError).letter]);
    expect(shown).not.toMatch(/secret|smiling|base64|nice/);
  });
});

describe('a rate limit', () => {
  it.each([
    ['seconds', { 'retry-after': '20' }],
    ['a date', { 'retry-after': 'Thu, 01 Jan 2026 00:00:20 GMT' }],
    ['milliseconds', { 'retry-after-ms': '20000' }],
  ])('given as %s pauses the whole run, then all goes on', async (_, headers) => {
    const fake = await start([{ status: 429, headers }]);
    const { captioner, events, clock } = client(fake, { concurrency: 1 });
    const before = clock.nowMs();
    await Promise.all(['a', 'b', 'c'].map((id) => captioner.caption(face(id))));
    expect(types(events)).toEqual(['paused', 'resumed', 'usage', 'usage', 'usage']);
    expect(events[0]).toMatchObject({ untilMs: before + 20_000, forMs: 20_000 });
    expect(clock.nowMs()).toBe(before + 20_000);
    expect(fake.seen).toHaveLength(4);
  });

  it('is no attempt: the item survives more of them than it has retries', async () => {
    const fake = await start(Array.from({ length: 10 }, () => ({ status: 429 })));
    const { captioner, clock } = client(fake, { maxRetries: 0 });
    expect(await captioner.caption(face('f1'))).toEqual(captions);
    expect(clock.slept).toHaveLength(10);
  });

  it('without end, or longer than allowed, or for want of credit, ends the run', async () => {
    const endless = await start(() => ({ status: 429 }));
    expect((await failure(client(endless).captioner.caption(face('f1')))).message).toMatch(
      /429 after each of 30 pauses/,
    );
    const long = await start(() => ({ status: 429, headers: { 'retry-after': '86400' } }));
    expect((await failure(client(long).captioner.caption(face('f1')))).message).toMatch(/Retry-After 86400 s/);
    expect(long.seen).toHaveLength(1);
    const poor = await start(() => ({ status: 429, code: 'insufficient_quota' }));
    expect((await failure(client(poor).captioner.caption(face('f1')))).message).toMatch(/expected credit/);
  });
});

describe('many requests', () => {
  it('stay within the concurrency', async () => {
    const fake = await start([], 10);
    const { captioner } = client(fake, { concurrency: 3 });
    await Promise.all(Array.from({ length: 20 }, (_, i) => captioner.caption(face(`f${i}`))));
    expect(fake.busiest).toBe(3);
    expect(fake.seen).toHaveLength(20);
  });

  it('for the same thing are one request, even when the first to ask leaves', async () => {
    const fake = await start([], 20);
    const { captioner } = client(fake);
    const leaving = new AbortController();
    const first = failure(captioner.caption(face('f1'), leaving.signal));
    const others = [captioner.caption(face('f1')), captioner.caption(face('f1'))];
    setTimeout(() => leaving.abort(new Error('left')), 5);
    expect((await first).message).toBe('left');
    expect(await Promise.all(others)).toEqual([captions, captions]);
    expect(fake.seen).toHaveLength(1);
  });

  it('stop promptly when aborted: on their way, waiting for a slot, backing off or paused', async () => {
    const scripts: Answer[] = ['hang', { status: 500 }, { status: 429, headers: { 'retry-after': '600' } }];
    for (const answer of scripts) {
      const fake = await start(() => answer);
      const { captioner, endpoint } = client(fake, {
        concurrency: 1,
        clock: { nowMs: Date.now, sleep: realSleep },
        timeoutMs: 60_000,
      });
      const stop = new AbortController();
      const running = ['a', 'b', 'c'].map((id) => failure(captioner.caption(face(id), stop.signal)));
      setTimeout(() => stop.abort(new Error('stop')), 40);
      const startedMs = performance.now();
      for (const error of await Promise.all(running)) expect(error.message).toBe('stop');
      expect(performance.now() - startedMs).toBeLessThan(1000);
      expect(endpoint.deadLetters).toEqual([]);
    }
  });

  it('are answered from the store by a new process, and none is sent again', async () => {
    const fake = await start();
    const store = new MemoryStore();
    const ids = ['a', 'b', 'c'];
    await Promise.all(ids.map((id) => client(fake, { store }).captioner.caption(face(id))));
    const again = client(fake, { store });
    for (const id of ids) expect(await again.captioner.caption(face(id))).toEqual(captions);
    expect(fake.seen).toHaveLength(3);
    expect(again.endpoint.tally.cost).toBe(0);
    expect(types(again.events)).toEqual(['reused', 'reused', 'reused']);
  });

  it('ask under the lock of a store that has one, and once the lock is had look again', async () => {
    const fake = await start();
    const { captioner, store } = client(fake);
    await captioner.caption(face('a'));
    const names: string[] = [];
    // as if another process had answered while this one waited
    let answeredBy: MemoryStore | undefined;
    const shared = {
      get: async (key: string) => answeredBy?.get(key),
      put: async () => {},
      exclusively: async <T>(name: string, work: () => Promise<T>) => {
        names.push(name);
        answeredBy = store;
        return work();
      },
    };
    const other = client(fake, { store: shared });
    expect(await other.captioner.caption(face('a'))).toEqual(captions);
    expect(await other.captioner.caption(face('a'))).toEqual(captions);
    expect(fake.seen).toHaveLength(1);
    // the second found it without a lock
    expect(names).toEqual([fake.seen[0]!.key]);
    expect(types(other.events)).toEqual(['reused', 'reused']);
  });

  it('end when the store cannot keep an answer', async () => {
    const fake = await start();
    const store = { get: async () => undefined, put: () => Promise.reject(new Error('disk full')) };
    const { captioner } = client(fake, { store, concurrency: 1 });
    const errors = await Promise.all(['a', 'b', 'c'].map((id) => failure(captioner.caption(face(id)))));
    for (const error of errors)
      expect(error.message).toMatch(/expected the result store to keep an answer, got "disk full"/);
    expect(fake.seen.length).toBeLessThanOrEqual(2);
  });

  it('under any faults end exactly once each, and no answer is paid for twice', async () => {
    const fault = fc.constantFrom<Answer>(
      'ok',
      'ok',
      'cut',
      'prose',
      'fenced',
      'wrong-schema',
      'empty',
      'refusal',
      'no-completion',
      { status: 500 },
      { status: 429, headers: { 'retry-after': '3' } },
      { status: 429 },
      { status: 422 },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fault, { maxLength: 40 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 0, max: 12 }),
        async (script, concurrency, maxRetries, killAfter) => {
          const fake = await start(script);
          const store = new MemoryStore();
          const ids = Array.from({ length: 8 }, (_, i) => `f${i}`);
          // First process: killed after so many requests
          const kill = new AbortController();
          const killed = client(fake, { store, concurrency, maxRetries, apiKey: 'killed' });
          const watch = setInterval(() => fake.seen.length >= killAfter && kill.abort(new Error('killed')), 1);
          await Promise.allSettled(ids.map((id) => killed.captioner.caption(face(id), kill.signal)));
          clearInterval(watch);
          // What had been received is still being kept
          await new Promise((resolve) => setTimeout(resolve, 10));
          const kept = new Set(store.values.keys());

          const { captioner, endpoint } = client(fake, { store, concurrency, maxRetries });
          const twice = [...ids, ...ids];
          const ends = await Promise.allSettled(twice.map((id) => captioner.caption(face(id))));
          const letters = new Map(endpoint.deadLetters.map((letter) => [letter.faceId, letter]));
          expect(letters.size).toBe(endpoint.deadLetters.length);
          for (const [i, end] of ends.entries()) {
            const id = twice[i]!;
            expect(end.status).toBe(letters.has(id) ? 'rejected' : 'fulfilled');
            if (end.status === 'rejected') expect(end.reason).toBeInstanceOf(LlmItemError);
            else expect(end.value).toEqual(captions);
          }
          const second = fake.seen.filter(({ apiKey }) => apiKey === 'secret-key');
          for (const { key } of second) expect(kept.has(key)).toBe(false);
          for (const letter of letters.values()) expect(letter.attempts).toBeLessThanOrEqual(maxRetries + 1);
          const paid = second.filter(({ completed }) => completed).map(({ key }) => key);
          expect(new Set(paid).size).toBe(paid.length);
          // An answer on its way to a killed process is lost; all others are kept
          const lost = [...fake.completed.values()].reduce((sum, count) => sum + count - 1, 0);
          expect(lost).toBeLessThanOrEqual(concurrency);
          expect(fake.busiest).toBeLessThanOrEqual(2 * concurrency);
        },
      ),
      { numRuns: 40, seed: 11 },
    );
  });
});

const realSleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
