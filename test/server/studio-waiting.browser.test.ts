import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasChromium, launchChromium } from '../chromium.ts';
import { builtPage, seriousFaults, shoot } from './studio-page.ts';
import { HeldEngine, serveEngine } from './support.ts';

// The page before a server that is busy, or that wants a key.

describe.skipIf(!hasChromium)('the studio page before a busy or locked server', () => {
  let built: Awaited<ReturnType<typeof builtPage>>;
  let browser: Browser;
  beforeAll(async () => {
    built = await builtPage();
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await built?.remove();
  });

  const prompt = (page: Page) => page.getByLabel('Describe a face');
  const open = async (url: string) => {
    const page = await browser.newPage();
    await page.goto(url);
    await prompt(page).waitFor();
    return page;
  };

  test('the place in the queue is shown; a request that waits can be cancelled', async () => {
    const engine = new HeldEngine();
    const server = await serveEngine(engine, { pageFolder: built.folder });
    const pages = [];
    for (const words of ['a man', 'a woman', 'a hat']) {
      const page = await open(server.url);
      await prompt(page).fill(words);
      await page.keyboard.press('Control+Enter');
      await page.locator('.run-line', { hasText: words === 'a man' ? 'Step 1' : 'Waiting' }).waitFor();
      pages.push(page);
    }
    const [first, second, third] = pages as [Page, Page, Page];
    await third.getByText('Waiting: 2 before this one').waitFor();
    await shoot(third, 'waiting');
    await second.keyboard.press('Escape');
    await second.getByText('Cancelled').first().waitFor();
    await third.getByText('Waiting: 1 before this one').waitFor();
    engine.release(true);
    for (const page of [first, third])
      await page
        .getByText(/4 faces in/)
        .first()
        .waitFor();
    expect(await second.locator('.prints img').count()).toBe(0);
    expect(engine.started).toBe(2);
    for (const page of pages) await page.close();
    await server.close();
  });

  test('a key is asked for, kept for this tab alone, and asked again when it changes', async () => {
    const locked = { apiKey: 'open-sesame', pageFolder: built.folder };
    const server = await serveEngine(new HeldEngine({ open: true }), locked);
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(server.url);
    const field = page.getByLabel('API key');
    const enter = page.getByRole('button', { name: 'Open the studio' });
    await field.waitFor();
    expect(await page.getByRole('alert').count()).toBe(0);
    expect(await seriousFaults(page)).toEqual([]);
    await shoot(page, 'key');
    await field.fill('ключ');
    expect(await enter.isDisabled()).toBe(true);
    await field.fill('sesame');
    await enter.click();
    await page.getByText('key: expected the key of this server, got another').waitFor();
    await field.fill('open-sesame');
    await page.keyboard.press('Enter');
    await prompt(page).fill('a man');
    await page.keyboard.press('Control+Enter');
    await page
      .getByText(/4 faces in/)
      .first()
      .waitFor();
    await page.reload();
    await prompt(page).waitFor();
    const kept = await page.evaluate<[string, string]>(
      '[JSON.stringify(localStorage) + document.cookie, JSON.stringify(sessionStorage)]',
    );
    expect(kept[0]).not.toContain('sesame');
    expect(kept[1]).toContain('open-sesame');
    // another tab of the same browser
    const other = await context.newPage();
    await other.goto(server.url);
    await other.getByLabel('API key').waitFor();
    await other.close();
    await page.evaluate("sessionStorage.setItem('unif2ace.key', 'old')");
    await page.reload();
    await page.getByText('got another').waitFor();
    await context.close();
    await server.close();
  });

  test('switches write the words and see what they deny', async () => {
    const server = await serveEngine(new HeldEngine({ open: true }), { pageFolder: built.folder });
    const page = await open(server.url);
    const glasses = page.getByRole('button', { name: 'glasses', exact: true });
    await prompt(page).fill('a man without glasses');
    expect(await glasses.getAttribute('aria-pressed')).toBe('false');
    expect(await glasses.getAttribute('title')).toBe('The words say without');
    await glasses.click();
    expect(await prompt(page).inputValue()).toBe('a man wearing eyeglasses');
    expect(await glasses.getAttribute('aria-pressed')).toBe('true');
    await page.getByLabel('Smile').fill('1');
    expect(await prompt(page).inputValue()).toBe('a smiling man wearing eyeglasses');
    await glasses.click();
    expect(await prompt(page).inputValue()).toBe('a smiling man');
    await page.close();
    await server.close();
  });
});
