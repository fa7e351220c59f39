import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { beforeEach, describe, expect, test } from 'vitest';
import { hasChromium } from '../chromium.ts';
import {
  bytesOf,
  cancelFaces,
  choose,
  drop,
  field,
  makeFaces,
  openStudio,
  seriousFaults,
  shoot,
} from './studio-page.ts';

// The page as it is built, in Chromium, on the bundled model behind a real socket.

describe.skipIf(!hasChromium)('the studio page in Chromium', () => {
  const studio = openStudio();
  let page: Page;
  beforeEach(() => {
    page = studio.page;
  });

  const finished = () => page.locator('.prints img').first();
  const fieldOf = (name: string) => field(page, name).inputValue();
  const set = (name: string, value: string) => field(page, name).fill(value);

  test('words become faces step by step; one is edited, asked about, and its file restores its settings', async () => {
    await page.getByLabel('Describe a face').fill('a man with black hair');
    await page.getByRole('textbox', { name: 'Seed' }).fill('41');
    await page.keyboard.press('Control+Enter');
    await page.getByText(/Step \d+ of 12/).waitFor();
    await finished().waitFor();
    expect(await page.locator('.prints img').count()).toBe(4);
    await shoot(page, 'faces');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download picture 1' }).click(),
    ]);
    const file = join(studio.folder, 'generated.png');
    await download.saveAs(file);

    await page.locator('.print-button').first().click();
    await choose(page, 'Eyes');
    await page.getByRole('button', { name: /Make anew/ }).click();
    await page.getByRole('button', { name: 'Version 1, eyes anew' }).locator('img').waitFor();
    await shoot(page, 'edited');

    await page.getByRole('button', { name: 'Ask about it' }).click();
    await page.getByText('Described').first().waitFor({ state: 'attached' });
    await page.getByLabel('Question', { exact: true }).fill('Is the person smiling?');
    await page.keyboard.press('Enter');
    const answer = page.locator('.messages .assistant');
    await answer.waitFor();
    expect(await answer.textContent()).toMatch(/Model:\s+\S/);
    await page.getByText('Each question stands alone').waitFor();
    await shoot(page, 'asked');
    expect(await seriousFaults(page)).toEqual([]);

    await page.goto(studio.server.url);
    await page.reload();
    await page.getByLabel('Describe a face').waitFor();
    expect(await fieldOf('Describe a face')).toBe('');
    await drop(page, await readFile(file), 'face.png');
    await page.getByText('Settings restored from the picture').waitFor();
    expect(await fieldOf('Describe a face')).toBe('a man with black hair');
    expect(await page.getByRole('textbox', { name: 'Seed' }).inputValue()).toBe('41');
  });

  test('Escape cancels, and the next request is served', async () => {
    await cancelFaces(page);
    await set('Steps', '2');
    await makeFaces(page);
  });

  test('the history and a dropped file bring all settings back', async () => {
    const given = { Faces: '2', Guidance: '4.5', Steps: '3', Variety: '0.6', 'Best of': '2', Seed: '77' };
    for (const [label, value] of Object.entries(given)) await set(label, value);
    await makeFaces(page, 'a man with gray hair');
    await page.locator('.prints img').nth(1).waitFor();
    const second = await bytesOf(page.locator('.prints img').nth(1));
    const all = async () => ({
      prompt: await fieldOf('Describe a face'),
      ...Object.fromEntries(await Promise.all(Object.keys(given).map(async (label) => [label, await fieldOf(label)]))),
    });
    const change = async () => {
      const others = { Faces: '3', Guidance: '1', Steps: '9', Variety: '1.5', 'Best of': '4', Seed: '5' };
      for (const [label, value] of Object.entries(others)) await set(label, value);
      await page.getByLabel('Describe a face').fill('a hat');
    };
    await change();
    // after a reload as well
    await page.reload();
    await page.getByRole('link', { name: 'History' }).click();
    await page.getByRole('button', { name: /^a man with gray hair/ }).click();
    await page.getByText('Settings restored from the history').waitFor();
    expect(await all()).toEqual({ prompt: 'a man with gray hair', ...given });
    expect(await page.locator('.prints img').count()).toBe(2);
    expect(await bytesOf(page.locator('.prints img').nth(1))).toEqual(second);

    await change();
    await drop(page, second, 'second.png');
    await page.getByText('Settings restored from the picture').waitFor();
    expect(await all()).toEqual({ prompt: 'a man with gray hair', ...given });
    // made again, it is the same face
    await page.keyboard.press('Control+Enter');
    await page
      .getByText(/2 faces in/)
      .first()
      .waitFor();
    expect(await bytesOf(page.locator('.prints img').nth(1))).toEqual(second);
  });

  test('a sweep is a table of faces over two settings; a face of it carries its own', async () => {
    await page.getByLabel('Describe a face').fill('a woman');
    await set('Steps', '2');
    await choose(page, 'Sweep');
    await page.getByRole('combobox', { name: 'Down' }).selectOption({ label: 'Steps' });
    await page.getByLabel('Across: values between commas').fill('0, 3, x');
    await page.getByText('got x').first().waitFor();
    await page.getByLabel('Across: values between commas').fill('0, 3');
    await page.getByLabel('Down: values between commas').fill('1, 2');
    await page.keyboard.press('Control+Enter');
    await page.locator('.sweep img').nth(3).waitFor();
    const headers = await page.getByRole('table').getByRole('columnheader').allTextContents();
    expect(headers.filter((text) => text !== '')).toEqual(['Guidance 0', 'Guidance 3']);
    expect(await page.getByRole('table').getByRole('rowheader').allTextContents()).toEqual(['Steps 1', 'Steps 2']);
    expect(await seriousFaults(page)).toEqual([]);
    await shoot(page, 'sweep');
    await page.locator('.sweep .print-button').nth(1).click();
    await choose(page, 'Details');
    const facts = await page.locator('.facts').textContent();
    expect(facts).toMatch(/Steps\s*1\s*Guidance\s*3/);
  });

  test('pictures in the making are freed', async () => {
    await page.addInitScript(`{
      const made = window.madeBitmaps = [];
      const create = window.createImageBitmap;
      window.createImageBitmap = async (...given) => {
        const bitmap = await create(...given);
        made.push(bitmap);
        return bitmap;
      };
      const live = window.liveUrls = new Set();
      const { createObjectURL, revokeObjectURL } = URL;
      URL.createObjectURL = (blob) => { const url = createObjectURL.call(URL, blob); live.add(url); return url; };
      URL.revokeObjectURL = (url) => { live.delete(url); revokeObjectURL.call(URL, url); };
    }`);
    await page.reload();
    await set('Steps', '5');
    await makeFaces(page);
    await page
      .getByText(/4 faces in/)
      .first()
      .waitFor();
    const open = () => page.evaluate<number>('madeBitmaps.filter(({ width }) => width > 0).length');
    // a slow reader is sent fewer
    expect(await page.evaluate<number>('madeBitmaps.length')).toBeGreaterThan(0);
    await expect.poll(open).toBe(0);
    await set('Steps', '48');
    await page.keyboard.press('Control+Enter');
    await page.getByText(/Step \d+ of 48/).waitFor();
    await page.keyboard.press('Escape');
    await set('Steps', '2');
    await makeFaces(page);
    await page
      .getByText(/4 faces in/)
      .first()
      .waitFor();
    await expect.poll(open).toBe(0);
    await expect.poll(() => page.evaluate<number>('liveUrls.size')).toBe(4);
  });

  test.each(['light', 'dark'] as const)(
    'no serious fault for assistive technology, phone width (%s)',
    async (scheme) => {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      await set('Steps', '4');
      await makeFaces(page);
      expect(await seriousFaults(page)).toEqual([]);
      await shoot(page, scheme);
      await page.setViewportSize({ width: 360, height: 740 });
      const fits = async (name: string) => {
        await shoot(page, `phone-${name}-${scheme}`);
        expect(await seriousFaults(page), name).toEqual([]);
        const widest = await page.evaluate<number>('document.documentElement.scrollWidth');
        expect(widest, name).toBeLessThanOrEqual(360);
        expect(await page.getByRole('heading', { level: 1 }).count(), name).toBe(1);
      };
      for (const view of ['look', 'history', 'create']) {
        await page.goto(`${studio.server.url}#${view}`);
        await page.locator(`nav a[aria-current=page][href="#${view}"]`).waitFor();
        await fits(view);
      }
      // what was made comes before what may be set
      const top = async (selector: string) => (await page.locator(selector).first().boundingBox())!.y;
      expect(await top('.prints')).toBeGreaterThan(await top('.prompt-form'));
      expect(await top('.prints')).toBeLessThan(await top('.options'));
      const header = (await page.getByRole('banner').boundingBox())!;
      expect(header.height).toBeLessThan(70);
      await page.locator('.print-button').first().click();
      await fits('face');
    },
  );
});
