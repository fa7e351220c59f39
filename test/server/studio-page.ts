import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PixelImage, pixelImage } from '@unif2ace/core';
import { decodeImage } from '@unif2ace/core/node';
import { type RunningServer, ThreadedEngine } from '@unif2ace/studio/server';
import axe from 'axe-core';
import type { Browser, Locator, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { launchChromium } from '../chromium.ts';
import { serveEngine } from './support.ts';

// What the tests of the studio page share: the page as it is built, Chromium, the bundled model.

const root = new URL('../../', import.meta.url).pathname;
const pictures = process.env.UNIF2ACE_SCREENSHOTS;

/** The page, built into a folder of its own. */
export async function builtPage(): Promise<{ folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'unif2ace-page-'));
  const studio = join(root, 'packages', 'studio');
  await build({
    configFile: join(studio, 'vite.config.ts'),
    root: join(studio, 'src', 'page'),
    logLevel: 'warn',
    build: { outDir: folder },
  });
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** What a test of the page on the bundled model stands on; `page` is a new one for each test. */
export interface OpenedStudio {
  folder: string;
  server: RunningServer;
  page: Page;
}

/**
 * Opens the page in Chromium on the bundled model before each test of the block, and sees after each that the page had no error
 * and asked nobody else. `flags` gives more flags for Chromium, once the page's folder is there.
 */
export function openStudio(flags?: (folder: string) => Promise<string[]>): OpenedStudio {
  const opened = {} as OpenedStudio;
  let built: Awaited<ReturnType<typeof builtPage>>;
  let browser: Browser;
  let faults: string[];
  beforeAll(async () => {
    built = await builtPage();
    opened.folder = built.folder;
    opened.server = await serveEngine(await picoEngine(), { pageFolder: built.folder });
    browser = await launchChromium(await flags?.(built.folder));
  });
  afterAll(async () => {
    await browser?.close();
    await opened.server?.close();
    await built?.remove();
  });
  beforeEach(async () => {
    opened.page = await browser.newPage();
    faults = faultsOf(opened.page, opened.server.url);
    await opened.page.goto(opened.server.url);
    await opened.page.getByLabel('Describe a face').waitFor();
  });
  afterEach(async () => {
    await opened.page.close();
    expect(faults).toEqual([]);
  });
  return opened;
}

function picoEngine(): Promise<ThreadedEngine> {
  const weights = join(root, 'weights');
  return ThreadedEngine.open({ model: join(weights, 'pico'), attributes: join(weights, 'attributes') });
}

/** Errors of a page and its requests to other places, as they come. */
function faultsOf(page: Page, home: string): string[] {
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith('http') && origin !== new URL(home).origin) faults.push(request.url());
  });
  return faults;
}

/** Faults for assistive technology that axe calls serious or critical. */
export async function seriousFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  return serious.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
}

export async function shoot(page: Page, name: string): Promise<void> {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`) });
}

/** A setting by its name. */
export const field = (page: Page, name: string): Locator =>
  page.getByRole('textbox', { name, exact: true }).or(page.getByRole('slider', { name, exact: true }));

export const choose = (page: Page, radio: string): Promise<void> =>
  page.getByRole('radio', { name: radio }).check({ force: true });

/** Begins faces of many steps and cancels them in the middle. */
export async function cancelFaces(page: Page): Promise<void> {
  await field(page, 'Steps').fill('48');
  await page.getByLabel('Describe a face').fill('a man');
  await page.keyboard.press('Control+Enter');
  await page.getByText(/Step \d+ of 48/).waitFor();
  await page.keyboard.press('Escape');
  await page.getByText('Cancelled').first().waitFor();
  expect(await page.locator('.prints img').count()).toBe(0);
}

/** Words and a key; resolves when the first face is there. */
export async function makeFaces(page: Page, prompt = 'a smiling woman with blond hair'): Promise<void> {
  await page.getByLabel('Describe a face').fill(prompt);
  await page.keyboard.press('Control+Enter');
  await page.locator('.prints img').first().waitFor();
}

/** Bytes of a picture that a page shows. */
export async function bytesOf(image: Locator): Promise<Uint8Array> {
  const address = JSON.stringify(await image.getAttribute('src'));
  // as text: the tests know no types of a page
  const bytes = await image
    .page()
    .evaluate<number[]>(
      `fetch(${address}).then((answer) => answer.arrayBuffer()).then((all) => [...new Uint8Array(all)])`,
    );
  return Uint8Array.from(bytes);
}

export async function pixelsOf(image: Locator): Promise<PixelImage> {
  const { width, height, data } = await decodeImage(await bytesOf(image));
  return pixelImage(width, height, data);
}

/** Drops a file on the page. */
export async function drop(page: Page, bytes: Uint8Array, name: string): Promise<void> {
  await page.evaluate(`{
    const files = new DataTransfer();
    files.items.add(new File([Uint8Array.from(${JSON.stringify([...bytes])})], '${name}', { type: 'image/png' }));
    dispatchEvent(new DragEvent('drop', { dataTransfer: files, cancelable: true }));
  }`);
}
