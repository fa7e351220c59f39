import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hasChromium, launchChromium } from '../../../../../test/chromium.ts';
import { logName } from './ratings-log.ts';
import { type ReviewServer, reviewServer } from './review-server.ts';
import { exampleRecords, hostile, temporaryFolder } from './test/review-fixture.ts';

/** Chromium is a package of the system: without it the page is tested by its parts alone. */
describe.skipIf(!hasChromium)('the page for raters in Chromium', () => {
  let browser: Browser;
  let page: Page;
  let place: Awaited<ReturnType<typeof temporaryFolder>>;
  let server: ReviewServer;
  const faults: string[] = [];
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    faults.length = 0;
    place = await temporaryFolder();
    server = await reviewServer({ records: exampleRecords(3), store: place.folder, port: 0, onNotice: () => {} });
    page = await browser.newPage();
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('request', (request) => {
      if (new URL(request.url()).origin !== new URL(server.url).origin) faults.push(request.url());
    });
  });
  afterEach(async () => {
    await page.close();
    await server.close();
    await place.remove();
    expect(faults).toEqual([]);
  });

  const begin = async (name: string) => {
    await page.goto(server.url);
    await page.fill('input[type=text]', name);
    await page.keyboard.press('Enter');
    await page.waitForSelector('#caption p, #caption label');
  };

  test('three faces are rated by keys alone, each rating is on the disk', async () => {
    await begin('keys');
    for (const key of ['4', '2', '5']) {
      await page.keyboard.press(key);
      await page.keyboard.press('n');
      await page.keyboard.press('Enter');
      await page.locator('#message', { hasText: 'Saved.' }).waitFor();
      await page.keyboard.press('Enter');
      await page.locator('#next').waitFor({ state: 'hidden' });
    }
    const lines = (await readFile(join(place.folder, logName), 'utf8')).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { rater: 'keys', accuracy: 4, hallucination: false },
      { rater: 'keys', accuracy: 2, hallucination: false },
      { rater: 'keys', accuracy: 5, hallucination: false },
    ]);
  });

  test('a caption is text, whatever it holds; nothing is told of the facts before the rating', async () => {
    await begin('reader');
    expect(await page.textContent('#caption')).toContain(hostile);
    expect(await page.isVisible('.facts')).toBe(false);
  });

  test.each(['light', 'dark'] as const)(
    'no serious fault for assistive technology (%s), no sideways scrolling on a phone',
    async (colorScheme) => {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width: 360, height: 740 });
      await begin('axe');
      await page.evaluate(axe.source);
      const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      expect(serious.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    },
  );
});
