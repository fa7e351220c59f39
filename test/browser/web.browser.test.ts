import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { collect, type GenerateOptions, UniF2ace } from '@unif2ace/core';
import { directRuntime } from '@unif2ace/graph/node';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasChromium, launchChromium } from '../chromium.ts';
import { buildPage, openApi, root, type StaticServer, serveFolder } from './support.ts';

// The model in a page of Chromium, as a bundler builds it, beside the same model in Node.

const prompt = 'a smiling woman with blond hair';
const question = 'Is the person smiling?';

/** What Node makes of it. */
async function inNode(options: GenerateOptions): Promise<{ tokens: number[]; answer: string }> {
  const runtime = directRuntime();
  const model = await UniF2ace.load('pico', { runtime });
  try {
    const run = model.generate(prompt, options);
    for (let tokens: number[] = []; ; ) {
      const { value, done } = await run.next();
      if (done) return { tokens, answer: await collect(model.ask(value[0]!, question)) };
      tokens = [...value.tokens[0]!];
    }
  } finally {
    await model.close();
    await runtime.close();
  }
}

describe.skipIf(!hasChromium)('UniF2ace in a page of Chromium', { timeout: 300_000 }, () => {
  let folder: string;
  let browser: Browser;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'unif2ace-web-'));
    await buildPage(join(root, 'test', 'browser', 'page'), folder);
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** The page's functions, its requests, and what went wrong in it. */
  const openPage = async (page: Page, server: StaticServer) => {
    const [requests, faults]: string[][] = [[], []];
    page.on('pageerror', (error) => faults!.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') faults!.push(message.text());
    });
    page.on('request', (request) => requests!.push(`${request.method()} ${request.url()}`));
    const api = await openApi(page, server.url);
    const address = `${server.url}/weights/pico`;
    return {
      requests: requests!,
      faults: faults!,
      predict: () => api.evaluate((it, from) => it.predict(from), address),
      load: () => api.evaluate((it, from) => it.load(from, 'auto'), address),
      draw: (options: GenerateOptions) =>
        api.evaluate((it, [text, how]) => it.draw(text, how), [prompt, options] as const),
      ask: () => api.evaluate((it, text) => it.ask(text), question),
      told: () => api.evaluate(({ devices, progress }) => ({ devices, progress: progress.at(-1)! })),
    };
  };

  test('the bundle has nothing of Node', async () => {
    const scripts = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.js'));
    expect(scripts.length).toBeGreaterThan(0);
    for (const name of scripts) {
      const text = await readFile(join(folder, name), 'utf8');
      expect(text, name).not.toContain('onnxruntime-node');
      // the engine's own script asks for one where it sees that Node runs it
      if (!name.includes('ort.'))
        expect(text.match(/(from|import|require)\s*\(?\s*["'`]node:[^"'`]*/g), name).toBe(null);
    }
  });

  test('faces and answers as Node gives them, no request after loading, nothing downloaded twice', async () => {
    const server = await serveFolder(folder);
    const context = await browser.newContext();
    const options = { seed: 7, steps: 12 };
    try {
      const page = await context.newPage();
      const first = await openPage(page, server);
      const { downloadBytes, memoryBytes } = await first.predict();
      expect(memoryBytes).toBeGreaterThan(1e8);
      expect(await first.load()).toBe('cpu');
      const { devices, progress } = await first.told();
      const reason = 'WebAssembly, 1 thread, since the page is not cross-origin isolated';
      expect(devices).toEqual([{ device: 'cpu', reason }]);
      // the model's description was read for the prediction
      expect(progress.cachedBytes).toBeLessThan(1e4);
      expect(progress.totalBytes).toBe(downloadBytes);
      expect(progress.loadedBytes).toBe(progress.totalBytes);
      const loaded = first.requests.length;
      const drawn = await first.draw(options);
      const expected = await inNode(options);
      expect(drawn.tokens).toEqual(expected.tokens);
      expect(drawn.width).toBe(32);
      expect(await first.ask()).toBe(expected.answer);
      expect(first.requests.slice(loaded)).toEqual([]);
      expect(first.requests.filter((line) => !line.includes(server.url))).toEqual([]);
      expect(first.faults).toEqual([]);
      await page.close();

      const again = await openPage(await context.newPage(), server);
      await again.load();
      const { progress: kept } = await again.told();
      expect(kept).toEqual({ ...progress, cachedBytes: progress.totalBytes });
      expect(again.requests.filter((line) => /^GET .*(\/weights\/|\.wasm$)/.test(line))).toEqual([]);
    } finally {
      await context.close();
      server.close();
    }
  });

  test('threads in an isolated page give the same', async () => {
    const server = await serveFolder(folder, { isolated: true });
    const page = await browser.newPage();
    const options = { seed: 8, steps: 3 };
    try {
      const opened = await openPage(page, server);
      await opened.load();
      const { devices } = await opened.told();
      expect(devices).toEqual([
        { device: 'cpu', reason: expect.stringMatching(/^WebAssembly, (1 thread|\d+ threads)$/) },
      ]);
      const loaded = opened.requests.length;
      expect((await opened.draw(options)).tokens).toEqual((await inNode(options)).tokens);
      expect(opened.requests.slice(loaded)).toEqual([]);
      expect(opened.faults).toEqual([]);
    } finally {
      await page.close();
      server.close();
    }
  });
});
