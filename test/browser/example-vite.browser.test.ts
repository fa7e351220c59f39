import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasChromium, launchChromium } from '../chromium.ts';
import { root, serveFolder } from './support.ts';

// The example app as it stands, on the packages as they are built.

describe.skipIf(!hasChromium)('examples/vite', { timeout: 300_000 }, () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'unif2ace-example-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('draws a face from words', async () => {
    const example = join(root, 'examples', 'vite');
    await build({
      configFile: join(example, 'vite.config.js'),
      root: example,
      logLevel: 'warn',
      build: { outDir: folder, emptyOutDir: true },
    });
    const server = await serveFolder(folder, { isolated: true });
    const browser = await launchChromium();
    try {
      const page = await browser.newPage();
      page.setDefaultTimeout(240_000);
      const faults: string[] = [];
      page.on('pageerror', (error) => faults.push(error.message));
      // the small model in place of nano: the same, sooner
      await page.route('**/weights/nano/**', async (route) => {
        const file = new URL(route.request().url()).pathname.split('/').at(-1)!;
        await route.fulfill({ body: await readFile(join(root, 'weights', 'pico', file)) });
      });
      await page.goto(server.url);
      await page.getByText('Ready').waitFor();
      await page.getByRole('button', { name: 'Draw' }).click();
      await page.getByText('Done').waitFor();
      // as text: the tests know no types of a page
      const colours = await page.evaluate<number>(`{
        const canvas = document.querySelector('canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        canvas.width === 32 ? new Set(new Uint32Array(data.buffer)).size : 0;
      }`);
      expect(colours).toBeGreaterThan(100);
      expect(faults).toEqual([]);
    } finally {
      await browser.close();
      server.close();
    }
  });
});
