import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { collect, readGeneration, UniF2ace } from '@unif2ace/core';
import { decodeImage } from '@unif2ace/core/node';
import { directRuntime } from '@unif2ace/graph/node';
import axe from 'axe-core';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasChromium, launchChromium } from '../chromium.ts';
import { cancelFaces, choose, field, makeFaces } from '../server/studio-page.ts';
import { root, type StaticServer, serveFolder } from './support.ts';

// The studio page without a server, on the bundled pico: any server of files will do.

const faceApi = dirname(createRequire(import.meta.url).resolve('@vladmandic/face-api/package.json'));
const photo = join(faceApi, 'demo', 'sample1.jpg');

describe.skipIf(!hasChromium)('the studio page with the model in it', { timeout: 300_000 }, () => {
  let folder: string;
  let browser: Browser;
  let context: BrowserContext;
  let server: StaticServer;
  const requests: string[] = [];
  const faults: string[] = [];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'unif2ace-static-'));
    process.env.UNIF2ACE_MODEL = join(root, 'weights', 'pico');
    const studio = join(root, 'packages', 'studio');
    await build({
      configFile: join(studio, 'vite.config.ts'),
      root: join(studio, 'src', 'page'),
      mode: 'static',
      logLevel: 'warn',
      build: { outDir: folder },
    });
    delete process.env.UNIF2ACE_MODEL;
    server = await serveFolder(folder);
    browser = await launchChromium();
    context = await browser.newContext();
    context.setDefaultTimeout(120_000);
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const openPage = async (): Promise<Page> => {
    requests.length = 0;
    faults.length = 0;
    const page = await context.newPage();
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    page.on('request', (request) => {
      if (request.url().startsWith('http')) requests.push(`${request.method()} ${request.url()}`);
    });
    await page.goto(server.url);
    await page.getByText('To download:').waitFor();
    return page;
  };
  const load = async (page: Page) => {
    await page.getByRole('button', { name: 'Load the model' }).click();
    await page.getByLabel('Describe a face').waitFor();
  };
  const fetched = () => requests.filter((line) => /^GET .*\.(safetensors|wasm|bin)$/.test(line));

  test('says what it will take, loads on demand; faces as Node makes them, nothing fetched any more', async () => {
    const page = await openPage();
    expect(await page.locator('#cost').textContent()).toMatch(/To download: 2\d MB, kept .* Memory: about \d+ MB/);
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
    expect(violations.map(({ id }) => id)).toEqual([]);
    expect(fetched()).toEqual([]);
    await load(page);
    const loaded = requests.length;
    expect(requests.filter((line) => !line.includes(server.url))).toEqual([]);

    await page.getByLabel('Describe a face').fill('a man with black hair');
    await page.getByRole('textbox', { name: 'Seed' }).fill('41');
    await page.keyboard.press('Control+Enter');
    await page.getByText(/Step \d+ of 12/).waitFor();
    await page.locator('.prints img').first().waitFor();
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download picture 1' }).click(),
    ]);
    const png = await readFile(await file.path());
    expect(readGeneration(png)).toMatchObject({ prompt: 'a man with black hair', seed: 41 });
    const runtime = directRuntime();
    const model = await UniF2ace.load('pico', { runtime });
    const [face] = await collect(model.generate('a man with black hair', { seed: 41 }));
    const made = await decodeImage(png);
    const furthest = made.data.reduce((most, value, i) => Math.max(most, Math.abs(value - face!.data[i]!)), 0);
    expect(furthest).toBeLessThanOrEqual(1);
    await model.close();
    await runtime.close();

    await page.goto(`${server.url}/#look`);
    expect(requests.slice(loaded)).toEqual([]);
    expect(faults).toEqual([]);
    await page.close();
  });

  test('Escape cancels; a face is made, its eyes anew, and its experts are shown, without a request', async () => {
    const page = await openPage();
    await load(page);
    const loaded = requests.length;
    await field(page, 'Faces').fill('1');
    await cancelFaces(page);

    await field(page, 'Steps').fill('3');
    await makeFaces(page);
    await page.locator('.print-button').first().click();
    await choose(page, 'Experts');
    await page.getByText('Experts of generation (T2I group), mean over 3 steps in which this face was made').waitFor();
    await choose(page, 'Edit');
    await choose(page, 'Eyes');
    await page.getByRole('button', { name: /Make anew/ }).click();
    await page.getByRole('button', { name: 'Version 1, eyes anew' }).locator('img').waitFor();
    expect(requests.slice(loaded)).toEqual([]);
    expect(faults).toEqual([]);
    await page.close();
  });

  test.skipIf(!existsSync(photo))('a photo is found a face in and looked at, and nothing is sent', async () => {
    const page = await openPage();
    expect(await page.locator('#cost').textContent()).toMatch(/To download: nothing, 2\d MB are kept/);
    await load(page);
    expect(fetched()).toEqual([]);
    const loaded = requests.length;
    await page.getByRole('link', { name: 'Look' }).click();
    await page.locator('input[type=file]').setInputFiles(photo);
    await page.getByText('Described').first().waitFor({ state: 'attached' });
    await page.getByRole('textbox', { name: 'Question' }).fill('Is the person smiling?');
    await page.keyboard.press('Enter');
    const answer = page.locator('.messages .assistant');
    await answer.waitFor();
    expect(await answer.textContent()).toMatch(/Model:\s+\S/);
    expect(requests.slice(loaded)).toEqual([]);
    expect(faults).toEqual([]);
    await page.close();
  });
});
