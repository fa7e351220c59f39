import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { collect, UniF2ace } from '@unif2ace/core';
import { saveModel } from '@unif2ace/core/node';
import { directRuntime } from '@unif2ace/graph/node';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hasChromium, launchChromium, softwareGpu } from '../chromium.ts';
import { tinyModel } from '../system/tiny-model.ts';
import { buildPage, openApi, root, type StaticServer, serveFolder } from './support.ts';

// A GPU in software: a whole face on it, and one in the middle of which it is lost.

describe.skipIf(!hasChromium)('WebGPU', { timeout: 300_000 }, () => {
  let folder: string;
  let server: StaticServer;
  let browser: Browser;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'unif2ace-gpu-'));
    await buildPage(join(root, 'test', 'browser', 'page'), folder);
    server = await serveFolder(folder);
  });
  // a GPU of its own for each: one that was lost is lost for the whole browser
  beforeEach(async () => {
    browser = await launchChromium(softwareGpu);
  });
  afterEach(() => browser?.close());
  afterAll(async () => {
    server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('a whole face and an answer about it, token for token those of Node', async () => {
    const { config, tokenizerJson, weights } = tinyModel(1, 2);
    const model = join(folder, 'tiny');
    await saveModel(model, config, tokenizerJson, ({ name }) => weights.get(name)!);
    const [prompt, question] = ['a man with black hair', 'Is the person smiling?'];
    const options = { seed: 3, steps: 6 };
    const page = await browser.newPage();
    try {
      page.setDefaultTimeout(240_000);
      const api = await openApi(page, server.url);
      expect(await api.evaluate((it, from) => it.load(from, 'webgpu'), `${server.url}/tiny`)).toBe('webgpu');
      const { tokens } = await api.evaluate((it, [text, how]) => it.draw(text, how), [prompt, options] as const);
      const answer = await api.evaluate((it, text) => it.ask(text), question);
      expect(await api.evaluate(({ devices }) => devices)).toEqual([{ device: 'webgpu', reason: 'asked for' }]);

      const here = await UniF2ace.load(model, { device: 'cpu' });
      let expected: number[] = [];
      const run = here.generate(prompt, options);
      let next = await run.next();
      for (; !next.done; next = await run.next()) expected = [...next.value.tokens[0]!];
      expect(tokens).toEqual(expected);
      expect(answer).toBe(await collect(here.ask(next.value[0]!, question)));
      await here.close();
    } finally {
      await page.close();
    }
  });

  test('a GPU that is lost: WebAssembly goes on, and the face is the one of Node', async () => {
    const prompt = 'a man with black hair';
    const options = { seed: 3, steps: 4 };
    const page = await browser.newPage();
    try {
      page.setDefaultTimeout(240_000);
      // as text: the tests know no types of a page
      await page.addInitScript(`{
        const request = GPUAdapter.prototype.requestDevice;
        GPUAdapter.prototype.requestDevice = async function (...options) {
          return (globalThis.device = await request.apply(this, options));
        };
      }`);
      const api = await openApi(page, server.url);
      const address = `${server.url}/weights/pico`;
      expect(await api.evaluate((it, from) => it.load(from, 'webgpu'), address)).toBe('webgpu');
      const drawing = api.evaluate((it, [text, how]) => it.draw(text, how), [prompt, options] as const);
      await page.evaluate('new Promise((resolve) => setTimeout(resolve, 500)).then(() => device.destroy())');
      const { tokens } = await drawing;
      const told = await api.evaluate(({ devices }) => devices);
      expect(told).toMatchObject([
        { device: 'webgpu', reason: 'asked for' },
        { device: 'cpu', reason: expect.stringMatching(/^the GPU was lost \(.+\); WebAssembly, 1 thread/) },
      ]);

      const runtime = directRuntime();
      const model = await UniF2ace.load('pico', { runtime });
      let expected: number[] = [];
      for await (const step of model.generate(prompt, options)) expected = [...step.tokens[0]!];
      await model.close();
      await runtime.close();
      expect(tokens).toEqual(expected);
    } finally {
      await page.close();
    }
  });
});
