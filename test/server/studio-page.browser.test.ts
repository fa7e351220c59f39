import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningServer, ThreadedEngine } from '@unif2ace/studio/server';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hasChromium, launchChromium } from '../chromium.ts';
import { serveEngine } from './support.ts';

// The page as it is built, in Chromium, on the bundled model behind a real socket.

const root = new URL('../../', import.meta.url).pathname;
const pictures = process.env.UNIF2ACE_SCREENSHOTS;

/** Chromium is a package of the system: without it the page is not tested. */
describe.skipIf(!hasChromium)('the studio page in Chromium', () => {
  let folder: string;
  let server: RunningServer;
  let browser: Browser;
  let page: Page;
  const faults: string[] = [];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'unif2ace-page-'));
    const studio = join(root, 'packages', 'studio');
    await build({
      configFile: join(studio, 'vite.config.ts'),
      root: join(studio, 'src', 'page'),
      logLevel: 'warn',
      build: { outDir: folder },
    });
    const attributes = join(root, 'weights', 'attributes');
    const engine = await ThreadedEngine.open({ model: join(root, 'weights', 'pico'), attributes });
    server = await serveEngine(engine, { pageFolder: folder });
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    faults.length = 0;
    page = await browser.newPage();
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('request', (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol.startsWith('http') && origin !== new URL(server.url).origin) faults.push(request.url());
    });
    await page.goto(server.url);
    await page.getByLabel('Describe a face').waitFor();
  });
  afterEach(async () => {
    await page.close();
    expect(faults).toEqual([]);
  });

  const finished = () => page.locator('.prints img').first();
  const makeFaces = async (prompt = 'a smiling woman with blond hair') => {
    await page.getByLabel('Describe a face').fill(prompt);
    await page.keyboard.press('Control+Enter');
    await finished().waitFor();
  };
  const seriousFaults = async () => {
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    return serious.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
  };
  const shoot = async (name: string) => {
    if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`) });
  };
  const download = async () => {
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download picture 1' }).click(),
    ]);
    const path = join(folder, 'generated.png');
    await file.saveAs(path);
    return path;
  };

  test('words become faces step by step; one is edited, asked about, and its file restores its settings', async () => {
    await page.getByLabel('Describe a face').fill('a man with black hair');
    await page.getByRole('textbox', { name: 'Seed' }).fill('41');
    await page.keyboard.press('Control+Enter');
    await page.getByText(/Step \d+ of 12/).waitFor();
    await finished().waitFor();
    expect(await page.locator('.prints img').count()).toBe(4);
    await shoot('faces');
    const file = await download();

    await page.locator('.print-button').first().click();
    await page.getByRole('radio', { name: 'Eyes' }).check({ force: true });
    await page.getByRole('button', { name: /Make anew/ }).click();
    await page.getByRole('button', { name: 'Version 1, eyes anew' }).locator('img').waitFor();
    await shoot('edited');

    await page.getByRole('button', { name: 'Ask about it' }).click();
    await page.getByText('Described').first().waitFor({ state: 'attached' });
    await page.getByLabel('Question').fill('Is the person smiling?');
    await page.keyboard.press('Enter');
    const answer = page.locator('.messages .assistant');
    await answer.waitFor();
    expect(await answer.textContent()).toMatch(/Model:\s+\S/);
    await shoot('asked');

    await page.goto(server.url);
    await page.reload();
    await page.getByLabel('Describe a face').waitFor();
    expect(await page.getByLabel('Describe a face').inputValue()).toBe('');
    const bytes = JSON.stringify([...(await readFile(file))]);
    // as text: the tests know no types of a page
    await page.evaluate(`{
      const files = new DataTransfer();
      files.items.add(new File([Uint8Array.from(${bytes})], 'face.png', { type: 'image/png' }));
      dispatchEvent(new DragEvent('drop', { dataTransfer: files, cancelable: true }));
    }`);
    await page.getByText('Settings restored from the picture').waitFor();
    expect(await page.getByLabel('Describe a face').inputValue()).toBe('a man with black hair');
    expect(await page.getByRole('textbox', { name: 'Seed' }).inputValue()).toBe('41');
  });

  test('Escape cancels, and the next request is served', async () => {
    await page.getByLabel('Steps').fill('48');
    await page.getByLabel('Describe a face').fill('a man');
    await page.keyboard.press('Control+Enter');
    await page.getByText(/Step \d+ of 48/).waitFor();
    await page.keyboard.press('Escape');
    await page.getByText('Cancelled').first().waitFor();
    expect(await page.locator('.prints img').count()).toBe(0);
    await page.getByLabel('Steps').fill('2');
    await makeFaces();
  });

  test.each(['light', 'dark'] as const)(
    'no serious fault for assistive technology, phone width (%s)',
    async (scheme) => {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      await makeFaces();
      expect(await seriousFaults()).toEqual([]);
      await shoot(scheme);
      await page.setViewportSize({ width: 360, height: 740 });
      for (const view of ['create', 'look', 'history']) {
        await page.goto(`${server.url}#${view}`);
        await page.locator(`nav a[aria-current=page][href="#${view}"]`).waitFor();
        await shoot(`phone-${view}-${scheme}`);
        expect(await seriousFaults()).toEqual([]);
        const width = await page.evaluate<number>('document.documentElement.scrollWidth');
        expect(width, view).toBeLessThanOrEqual(360);
      }
    },
  );
});
