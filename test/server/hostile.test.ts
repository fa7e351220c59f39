import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { encodePng, pixelImage } from '@unif2ace/core';
import type { RunningServer } from '@unif2ace/studio/server';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { dataUrl, HeldEngine, serveEngine, testPng } from './support.ts';

let engine: HeldEngine;
let server: RunningServer;

beforeEach(async () => {
  engine = new HeldEngine();
  server = await serveEngine(engine, { queueCapacity: 1200, drainMs: 0 });
});
afterEach(() => server.close());

const json = { 'Content-Type': 'application/json' };
const post = (path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = json) =>
  fetch(`${server.url}${path}`, { method: 'POST', headers, body });

/** The error of an answer, which must be in the API's form. */
async function errorOf(response: Response): Promise<{ status: number; code: string; message: string; param: unknown }> {
  const { error } = (await response.json()) as {
    error: { message: string; type: string; code: string; param: unknown };
  };
  expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
  return { status: response.status, ...error };
}

/** What a server says to bytes sent by hand, until it closes. */
function raw(bytes: string, { everyMs = 0, piece = bytes.length } = {}): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(server.port, '127.0.0.1');
    let answer = '';
    let sent = 0;
    const timer = setInterval(() => {
      if (sent >= bytes.length || !socket.writable) return;
      socket.write(bytes.slice(sent, sent + piece));
      sent += piece;
    }, everyMs);
    socket.on('data', (data) => {
      answer += data;
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearInterval(timer);
      resolve(answer);
    });
  });
}

async function until(what: () => boolean): Promise<void> {
  const endMs = performance.now() + 20_000;
  while (!what()) {
    if (performance.now() > endMs) expect.unreachable('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const alive = async () => expect((await fetch(`${server.url}healthz`)).status).toBe(200);

describe('pictures', () => {
  const ihdr = (width: number, height: number) => {
    const png = Buffer.from(encodePng(pixelImage(1, 1)));
    png.writeUInt32BE(width, 16);
    png.writeUInt32BE(height, 20);
    return png;
  };
  const jpeg = Buffer.from('ffd8ffe000104a46494600010100000100010000ffd9', 'hex');
  const svg = '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>';

  test.each<[string, string]>([
    ['decompression bomb', dataUrl(ihdr(60_000, 60_000))],
    ['damaged header', dataUrl(ihdr(100, 100))],
    ['SVG', dataUrl(Buffer.from(svg), 'image/svg+xml')],
    ['SVG that says it is a PNG', dataUrl(Buffer.from(svg))],
    ['HTML that says it is a GIF', dataUrl(Buffer.from('<html><script>1</script>'), 'image/gif')],
    ['polyglot of GIF and script', dataUrl(Buffer.from('GIF89a/*aaaaaaaaaaaaaa*/=1;alert(1)//'), 'image/gif')],
    ['PDF that says it is a JPEG', dataUrl(Buffer.from('%PDF-1.7 \xff\xd8\xff'), 'image/jpeg')],
    ['JPEG that says it is a PNG', dataUrl(jpeg)],
    ['JPEG without a picture', dataUrl(jpeg, 'image/jpeg')],
    ['cut PNG', dataUrl(testPng().subarray(0, 100))],
    ['video', dataUrl(testPng(), 'video/mp4')],
    ['no base64', 'data:image/png;base64,****'],
    ['no type', `data:;base64,${Buffer.from(testPng()).toString('base64')}`],
    ['percent encoding', 'data:image/png,%89PNG'],
    ['no comma', 'data:image/png;base64'],
    ['empty', 'data:image/png;base64,'],
  ])('%s is refused', async (_, image) => {
    const error = await errorOf(await post('v1/faces', JSON.stringify({ image })));
    expect(error).toMatchObject({ status: 400, code: 'invalid_image', param: 'image' });
    expect(engine.started).toBe(0);
  });

  test('a bomb in a form is refused without being unpacked', async () => {
    // 30,000 × 30,000 pixels in a file of 110 kB
    const rows = deflateSync(Buffer.alloc((30_000 / 8 + 1) * 30_000), { level: 9 });
    const form = new FormData();
    form.set('prompt', 'x');
    form.set('region', 'hair');
    form.set('image', new Blob([Buffer.concat([ihdr(30_000, 30_000), rows])], { type: 'image/png' }), 'a.png');
    const before = process.memoryUsage().rss;
    const response = await fetch(`${server.url}v1/images/edits`, { method: 'POST', body: form });
    expect(await errorOf(response)).toMatchObject({ status: 400, code: 'invalid_image' });
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 2 ** 20);
  });
});

describe('bodies', () => {
  test('of 100 MB are refused by their length, before they are sent', async () => {
    const head =
      'POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n{';
    expect(await raw(head)).toMatch(/^HTTP\/1.1 413 [\s\S]*body_too_large/);
    await alive();
  });

  test('of 100 MB without a length are refused while they come', async () => {
    let sent = 0;
    const outcome = await new Promise<number | string>((resolve) => {
      const request = httpRequest(`${server.url}v1/faces`, { method: 'POST', headers: json }, (response) => {
        resolve(response.statusCode!);
        request.destroy();
      });
      request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code!));
      const block = Buffer.alloc(1 << 20, 0x20);
      const write = () => {
        while (sent < 100 << 20) {
          sent += block.length;
          if (!request.write(block)) return void request.once('drain', write);
        }
      };
      write();
    });
    expect([413, 'ECONNRESET', 'EPIPE']).toContain(outcome);
    expect(sent).toBeLessThan(60 << 20);
    await alive();
  });

  test.each([
    ['ten million brackets', '['.repeat(1e7)],
    ['a million keys', `{${'"a":1,'.repeat(1e6)}"a":1}`],
    ['no JSON', '{"prompt": '],
    ['nothing', ''],
    ['no UTF-8', new Uint8Array([0x22, 0xff, 0xfe, 0x22])],
    ['a list', '[]'],
    ['null', 'null'],
  ])('with %s are refused', async (_, body) => {
    const error = await errorOf(await post('v1/images/generations', body));
    expect(error.status).toBe(400);
  });

  test('with a hundred thousand parts, a part twice or a cut form are refused', async () => {
    const part = (name: string) => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\nx\r\n`;
    const headers = { 'Content-Type': 'multipart/form-data; boundary=b' };
    for (const body of [`${part('prompt').repeat(1e5)}--b--`, `${part('n').repeat(2)}--b--`, part('prompt'), 'x'])
      expect(await errorOf(await post('v1/images/edits', body, headers))).toMatchObject({ status: 400 });
    expect(await errorOf(await post('v1/images/edits', 'x', { 'Content-Type': 'multipart/form-data' }))).toMatchObject({
      code: 'invalid_form',
    });
  });

  test('that set a prototype change nothing', async () => {
    const error = await errorOf(await post('v1/images/generations', '{"prompt":"x","__proto__":{"n":3}}'));
    expect(error).toMatchObject({ status: 400, param: '__proto__' });
  });
});

describe('other sites', () => {
  const body = JSON.stringify({ prompt: 'x' });

  test.each<[string, Record<string, string>, number]>([
    ['a foreign origin', { ...json, Origin: 'https://evil.example' }, 403],
    ['an opaque origin', { ...json, Origin: 'null' }, 403],
    ['a cross-site fetch', { ...json, 'Sec-Fetch-Site': 'cross-site' }, 403],
    ['a form post', { 'Content-Type': 'application/x-www-form-urlencoded' }, 415],
    ['a simple post', { 'Content-Type': 'text/plain' }, 415],
    ['another port of this host', { ...json, Origin: 'http://127.0.0.1:1' }, 403],
  ])('%s is refused', async (_, headers, status) => {
    expect((await errorOf(await post('v1/images/generations', body, headers))).status).toBe(status);
    expect(engine.started).toBe(0);
  });

  test('a preflight gets no permission', async () => {
    const response = await fetch(`${server.url}v1/models`, {
      method: 'OPTIONS',
      headers: { Origin: 'https://evil.example' },
    });
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
    expect(response.status).toBe(403);
  });

  test.each(['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:7860', '[::2]', '0.0.0.0', 'a b', ''])(
    'a host named "%s" is refused',
    async (host) => {
      const answer = await raw(`GET /v1/models HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1.1 40[03] [\s\S]*"error"/);
    },
  );

  test('localhost by its names is served', async () => {
    for (const host of ['localhost', '127.0.0.1:7860', '[::1]:1'])
      expect(await raw(`GET /v1/models HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).toMatch(
        /^HTTP\/1.1 200 /,
      );
  });
});

describe('files', () => {
  test('of the page are served, nothing above them', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'unif2ace-page-'));
    await mkdir(join(folder, 'page/assets'), { recursive: true });
    await writeFile(join(folder, 'secret.txt'), 'secret');
    await writeFile(join(folder, 'page/index.html'), '<p>studio</p>');
    await writeFile(join(folder, 'page/assets/a.js'), '1');
    await server.close();
    server = await serveEngine(engine, { pageFolder: join(folder, 'page') });
    const page = await fetch(server.url);
    expect(await page.text()).toBe('<p>studio</p>');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
    const tag = page.headers.get('etag')!;
    expect((await fetch(server.url, { headers: { 'If-None-Match': tag } })).status).toBe(304);
    expect((await fetch(`${server.url}assets/a.js`)).headers.get('cache-control')).toContain('immutable');
    for (const path of [
      '/../secret.txt',
      '/assets/../../secret.txt',
      '/%2e%2e/secret.txt',
      '/..%2fsecret.txt',
      '/..%5csecret.txt',
      '/assets/%2e%2e%2f%2e%2e%2fsecret.txt',
      '//etc/passwd',
      '/%00',
      '/%ff%fe',
      '/assets/',
      '/constructor',
    ]) {
      const answer = await raw(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      expect(answer, path).toMatch(/^HTTP\/1.1 40[04] /);
      expect(answer, path).not.toContain('secret\n');
    }
    await rm(folder, { recursive: true });
  });
});

describe('slow clients', () => {
  beforeEach(async () => {
    await server.close();
    server = await serveEngine(engine, { headMs: 400, requestMs: 800 });
  });

  test('that trickle a head are told and cut off, others are served meanwhile', async () => {
    const slow = raw(`GET /v1/models HTTP/1.1\r\nX: ${'a'.repeat(1000)}`, { everyMs: 50, piece: 1 });
    await alive();
    const answer = await slow;
    expect(answer).toMatch(/^HTTP\/1.1 408 [\s\S]*"code":"timeout"/);
  });

  test('that trickle a body are cut off', async () => {
    const head =
      'POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n';
    const slow = raw(head + ' '.repeat(5000), { everyMs: 50, piece: head.length });
    const trickle = raw(`${head}{`);
    await alive();
    expect(await trickle).toMatch(/^HTTP\/1.1 408 /);
    await slow;
  });

  test('that read nothing are cut off', async () => {
    await server.close();
    // 16 pictures of 1 MB: more than the buffers of a connection hold
    const large = new HeldEngine({ open: true, picture: new Uint8Array(1e6) });
    server = await serveEngine(large, { stallMs: 300 });
    const body = JSON.stringify({ prompt: 'x', stream: true, n: 16 });
    const socket = connect(server.port, '127.0.0.1');
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {});
    socket.write(
      `POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    socket.pause();
    await new Promise((resolve) => setTimeout(resolve, 4000));
    let received = '';
    socket.on('data', (data) => {
      received += data.toString('latin1');
    });
    socket.resume();
    await closed;
    // what the connection's buffers held, a picture at least, and no more
    expect(received.length).toBeGreaterThan(1e6);
    expect(received.length).toBeLessThan(16e6);
    expect(received).not.toContain('[DONE]');
    await alive();
  });
});

describe('streams', () => {
  const stream = (signal: AbortSignal, more: object = {}) =>
    fetch(`${server.url}v1/images/generations`, {
      method: 'POST',
      headers: json,
      body: JSON.stringify({ prompt: 'x', stream: true, ...more }),
      signal,
    });

  test('whose client vanishes end the job', async () => {
    const gone = new AbortController();
    const response = await stream(gone.signal);
    await response.body!.getReader().read();
    await until(() => engine.started === 1);
    gone.abort();
    await until(() => engine.aborted === 1);
    await alive();
  });

  test('requests without a stream whose client vanishes end too', async () => {
    const gone = new AbortController();
    const pending = fetch(`${server.url}v1/images/generations`, {
      method: 'POST',
      headers: json,
      body: '{"prompt":"x"}',
      signal: gone.signal,
    }).catch(() => {});
    await until(() => engine.started === 1);
    gone.abort();
    await pending;
    await until(() => engine.aborted === 1);
  });

  test('are cancelled by DELETE, running or waiting, and say so', async () => {
    const first = await stream(new AbortController().signal);
    const second = await stream(new AbortController().signal);
    const ids = [first, second].map((response) => response.headers.get('x-unif2ace-job')!);
    const states = await Promise.all(ids.map(async (id) => (await fetch(`${server.url}v1/jobs/${id}`)).json()));
    expect(states).toMatchObject([{ status: 'running' }, { status: 'queued' }]);
    for (const id of ids.reverse()) {
      const answer = await fetch(`${server.url}v1/jobs/${id}`, { method: 'DELETE' });
      expect(await answer.json()).toEqual({ id, object: 'unif2ace.job', status: 'cancelled' });
    }
    for (const response of [first, second]) expect(await response.text()).toContain('"code":"cancelled"');
    expect(engine.aborted).toBe(1);
    const unknown = await fetch(`${server.url}v1/jobs/${ids[0]}`, { method: 'DELETE' });
    expect(await errorOf(unknown)).toMatchObject({ status: 404, code: 'job_not_found' });
  });

  test('a thousand that wait are told their place, and others are answered', async () => {
    const gone = new AbortController();
    const waiting = await Promise.all(Array.from({ length: 1000 }, () => stream(gone.signal)));
    expect(new Set(waiting.map(({ status }) => status))).toEqual(new Set([200]));
    const last = waiting.at(-1)!.body!.pipeThrough(new TextDecoderStream()).getReader();
    const { value } = await last.read();
    expect(value).toMatch(/event: unif2ace.queued\ndata: {"type":"unif2ace.queued","job":"job_[\w-]+","position":\d+}/);
    await alive();
    expect(await (await fetch(`${server.url}metrics`)).text()).toContain('unif2ace_jobs{state="waiting"} 999');
    gone.abort();
    await until(() => engine.aborted === 1);
    const metrics = async () => (await fetch(`${server.url}metrics`)).text();
    let text = await metrics();
    for (let i = 0; i < 200 && !text.includes('unif2ace_streams 0'); i++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      text = await metrics();
    }
    expect(text).toContain('unif2ace_jobs{state="waiting"} 0');
    expect(text).toContain('unif2ace_streams 0');
  });
});

test('a full queue and too many requests are told when to come back', async () => {
  await server.close();
  server = await serveEngine(engine, { queueCapacity: 1, requestsPerMinute: 9, drainMs: 0 });
  const gone = new AbortController();
  const ask = (signal?: AbortSignal) =>
    fetch(`${server.url}v1/images/generations`, {
      method: 'POST',
      headers: json,
      body: '{"prompt":"x"}',
      signal: signal ?? null,
    });
  const pending = [ask(gone.signal), ask(gone.signal)].map((one) => one.catch(() => {}));
  await until(() => engine.started === 1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const full = await ask();
  expect(full.headers.get('retry-after')).toBe('2');
  expect(await errorOf(full)).toMatchObject({ status: 429, code: 'queue_full' });
  const limited = await ask();
  expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(await errorOf(limited)).toMatchObject({ status: 429, code: 'rate_limited' });
  gone.abort();
  await Promise.all(pending);
});
