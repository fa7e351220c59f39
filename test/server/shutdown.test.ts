import { type ChildProcess, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dataUrl, testPng, tinyModelFolder } from './support.ts';

// `unif2ace serve` as a process, stopped by SIGTERM while clients wait.

let model: Awaited<ReturnType<typeof tinyModelFolder>>;
const started: ChildProcess[] = [];

beforeAll(async () => {
  model = await tinyModelFolder();
});
afterAll(async () => {
  for (const child of started) child.kill('SIGKILL');
  await model.remove();
});

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const main = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));

async function serve(...args: string[]) {
  const options = [
    '--conditions=source',
    '--import',
    tsx,
    main,
    'serve',
    '--model',
    model.folder,
    '--port',
    '0',
    '--json',
  ];
  const child = spawn(process.execPath, [...options, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  started.push(child);
  let log = '';
  child.stderr.on('data', (data) => {
    log += data;
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (data) => resolve(String(data)));
    void exited.then(() => reject(new Error(log)));
  });
  return { url: JSON.parse(line).url as string, child, exited, log: () => log };
}

/** Waits until so many jobs have been accepted. */
async function accepts(url: string, count: number): Promise<void> {
  for (let accepted = 0; accepted < count; ) {
    const metrics = await (await fetch(`${url}metrics`)).text();
    const figures = metrics.matchAll(/^unif2ace_(?:jobs|job_seconds_count){[^}]*} (\d+)$/gm);
    accepted = [...figures].reduce((sum, [, value]) => sum + Number(value), 0);
  }
}

test('under load every client gets an answer or an error, new ones are sent away, and the code is 0', async () => {
  const { url, child, exited, log } = await serve('--drain-seconds', '20', '--concurrency', '4');
  const post = async (path: string, body: object) => {
    const headers = { 'Content-Type': 'application/json' };
    const response = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: response.status, retry: response.headers.get('retry-after'), text: await response.text() };
  };
  const draw = (stream: boolean) =>
    post('v1/images/generations', { prompt: 'secret words', n: 3, size: '512x512', steps: 2, stream });
  const image = dataUrl(testPng());
  const content = [
    { type: 'text', text: 'Is it?' },
    { type: 'image_url', image_url: { url: image } },
  ];
  const accepted = [
    ...Array.from({ length: 4 }, () => draw(false)),
    ...Array.from({ length: 4 }, () => draw(true)),
    post('v1/chat/completions', { messages: [{ role: 'user', content }], face: 'aligned' }),
    post('v1/faces', { image, face: 'aligned' }),
  ];
  await accepts(url, accepted.length);
  child.kill('SIGTERM');
  let late = await fetch(`${url}readyz`);
  while (late.status === 200) late = await fetch(`${url}readyz`);
  expect(late.status).toBe(503);
  expect(await post('v1/images/generations', { prompt: 'x' })).toMatchObject({ status: 503, retry: '5' });
  expect((await fetch(`${url}healthz`)).status).toBe(200);
  for (const { status, text } of await Promise.all(accepted)) {
    expect([200, 503]).toContain(status);
    expect(text).toMatch(/b64_json|"error"|choices|chosen/);
  }
  expect(await exited).toBe(0);
  expect(log()).toContain('stopped');
  expect(log()).not.toContain('secret words');
});

test('a shutdown that takes too long ends with an error for those who wait', async () => {
  const { url, child, exited } = await serve('--drain-seconds', '0');
  const draw = async (stream: boolean) => {
    const body = JSON.stringify({ prompt: 'x', n: 16, size: '1024x1024', steps: 2, stream });
    const headers = { 'Content-Type': 'application/json' };
    const response = await fetch(`${url}v1/images/generations`, { method: 'POST', headers, body });
    return { status: response.status, text: await response.text() };
  };
  const accepted = [draw(true), draw(false), draw(true)];
  await accepts(url, accepted.length);
  child.kill('SIGTERM');
  for (const { text } of await Promise.all(accepted)) expect(text).toContain('"code":"stopping"');
  expect(await exited).toBe(0);
});
