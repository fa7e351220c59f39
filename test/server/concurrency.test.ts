import { fileURLToPath } from 'node:url';
import { pixelImage, readGeneration } from '@unif2ace/core';
import { type Engine, type RunningServer, ThreadedEngine } from '@unif2ace/studio/server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serveEngine, tinyModelFolder } from './support.ts';

// Several requests at once on the real model's threads: each gives what it gives alone, whatever becomes of its neighbours.

const threads = [1, 2];
let model: Awaited<ReturnType<typeof tinyModelFolder>>;
let engines: ThreadedEngine[];
let server: RunningServer;
const pico = fileURLToPath(new URL('../../weights/pico', import.meta.url));

beforeAll(async () => {
  model = await tinyModelFolder();
  engines = await Promise.all(
    threads.map((count) => ThreadedEngine.open({ model: model.folder, attributes: null, threads: count })),
  );
  server = await serveEngine(await ThreadedEngine.open({ model: pico, attributes: null }));
});
afterAll(async () => {
  await server.close();
  for (const engine of engines) await engine.close();
  await model.remove();
});

const never = new AbortController().signal;
const photo = pixelImage(
  16,
  16,
  Uint8Array.from({ length: 768 }, (_, i) => (i * 37) % 256),
);

const draw = (engine: Engine, seed: number, { steps = 6, count = 1, signal = never } = {}) => {
  const settings = { steps, guidance: seed % 2, temperature: 1, candidates: 1 + (seed % 3) };
  const request = { prompt: `a man ${seed % 3}`, count, seed, ...settings };
  return engine.generate({ ...request, sizePixels: 8, previews: 0 }, { signal, onStep: () => {} });
};
const ask = (engine: Engine, seed: number) =>
  engine.ask(
    { photo, face: 'aligned', question: 'Is the person smiling?', temperature: 1, topP: 1, seed },
    { signal: never, onText: () => {} },
  );

/** Eight requests of both kinds. */
const requests = (engine: Engine) =>
  Array.from({ length: 8 }, (_, seed) => () => (seed % 4 === 3 ? ask(engine, seed) : draw(engine, seed)));

let alone: unknown[];
beforeAll(async () => {
  alone = [];
  for (const request of requests(engines[0]!)) alone.push(await request());
});

test.each(threads)('eight at once in %i threads each give what they give alone', async (count) => {
  const engine = engines[threads.indexOf(count)]!;
  expect(await Promise.all(requests(engine).map((request) => request()))).toEqual(alone);
});

test.each(threads)('one that is aborted ends at once, its neighbours in %i threads go on unchanged', async (count) => {
  const engine = engines[threads.indexOf(count)]!;
  const gone = [new AbortController(), new AbortController()];
  const long = gone.map(({ signal }) => draw(engine, 9, { count: 1024, signal }));
  const neighbours = Promise.all(requests(engine).map((request) => request()));
  await draw(engine, 1, { steps: 2 });
  for (const one of gone) one.abort(new Error('enough'));
  for (const result of await Promise.allSettled(long)) expect(result).toMatchObject({ reason: { message: 'enough' } });
  expect(await neighbours).toEqual(alone);
  // nothing of the aborted ones is left behind
  expect(await draw(engine, 0)).toEqual(alone[0]);
});

const post = (body: object, signal?: AbortSignal) =>
  fetch(`${server.url}v1/images/generations`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ prompt: 'a man', stream: true, ...body }),
    ...(signal && { signal }),
  });

/** A stream of a job that runs for as long as the test looks at it. */
async function endless(signal?: AbortSignal) {
  const response = await post({ n: 16, steps: 100, size: '1024x1024' }, signal);
  const [id, text] = [response.headers.get('x-unif2ace-job')!, response.text()];
  while (((await state(id)) as { status?: string }).status === 'queued');
  return { id, text };
}

const state = async (id: string) => (await fetch(`${server.url}v1/jobs/${id}`)).json();

async function face(seed: number): Promise<Uint8Array> {
  const text = await (await post({ seed, steps: 4 })).text();
  const bytes = new Uint8Array(Buffer.from(/"b64_json":"([^"]+)"/.exec(text)![1]!, 'base64'));
  expect(readGeneration(bytes)).toMatchObject({ seed, settings: { steps: 4 } });
  return bytes;
}

test('DELETE and a client that goes away end one running job each; the others are answered as alone', async () => {
  const seeds = [0, 1, 2, 3];
  const expected: Uint8Array[] = [];
  for (const seed of seeds) expected.push(await face(seed));
  const away = new AbortController();
  const [deleted, left] = [await endless(), await endless(away.signal)];
  const leaving = left.text.catch((error) => error.name);
  const others = Promise.all(seeds.map(face));
  expect(await Promise.all([state(deleted.id), state(left.id)])).toMatchObject([
    { status: 'running' },
    { status: 'running' },
  ]);
  const deletion = await fetch(`${server.url}v1/jobs/${deleted.id}`, { method: 'DELETE' });
  expect(deletion.status).toBe(200);
  away.abort();
  expect(await deleted.text).toContain('"code":"cancelled"');
  expect(await leaving).toBe('AbortError');
  expect(await others).toEqual(expected);
  for (const { id } of [deleted, left]) while (!('error' in ((await state(id)) as object)));
  // their places are free
  expect(await Promise.all([...seeds, ...seeds].map(face))).toEqual([...expected, ...expected]);
});
