import { parseHTML } from 'linkedom';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { pageScript } from './page-script.ts';
import { type ReviewServer, reviewServer } from './review-server.ts';
import { exampleRecords, hostile, temporaryFolder } from './test/review-fixture.ts';

let place: Awaited<ReturnType<typeof temporaryFolder>>;
let server: ReviewServer;
beforeEach(async () => {
  place = await temporaryFolder();
  server = await reviewServer({ records: exampleRecords(6), store: place.folder, port: 0 });
});
afterEach(async () => {
  await server.close();
  await place.remove();
});

/** The page with its script running against the server, as a browser of its own origin. */
async function openPage(storage: Record<string, string> = {}) {
  const html = await (await fetch(server.url)).text();
  const { document, Event } = parseHTML(html);
  let reachable = true;
  const ownFetch = (path: string, init: RequestInit = {}) =>
    reachable
      ? fetch(new URL(path, server.url), {
          ...init,
          headers: { ...(init.headers as Record<string, string>), origin: new URL(server.url).origin },
        })
      : Promise.reject(new TypeError('fetch failed'));
  const localStorage = {
    getItem: (name: string) => storage[name] ?? null,
    setItem: (name: string, value: string) => {
      storage[name] = value;
    },
  };
  new Function('document', 'fetch', 'localStorage', pageScript)(document, ownFetch, localStorage);
  const byId = (id: string) => document.getElementById(id)! as unknown as HTMLInputElementLike;
  const press = (key: string, target: EventTargetLike = document.body, more: object = {}) =>
    target.dispatchEvent(Object.assign(new Event('keydown', { bubbles: true, cancelable: true }), { key, ...more }));
  return {
    html,
    document,
    storage,
    byId,
    press,
    message: () => byId('message').textContent,
    visible: (id: string) => !byId(id).hasAttribute('hidden'),
    cut: () => {
      reachable = false;
    },
    mend: () => {
      reachable = true;
    },
    join: async (rater: string) => {
      byId('rater').value = rater;
      press('Enter', byId('rater'));
      await vi.waitFor(() => expect(byId('form').hasAttribute('hidden')).toBe(false));
    },
  };
}

interface EventTargetLike {
  dispatchEvent(event: unknown): boolean;
}
interface HTMLInputElementLike extends EventTargetLike {
  value: string;
  textContent: string;
  hasAttribute(name: string): boolean;
  getAttribute(name: string): string | null;
  querySelectorAll(selector: string): Iterable<HTMLInputElementLike & { checked?: boolean; className: string }>;
}

test('rated by keys alone: 1–5, y, a letter for the sentence, Enter; then the facts, then the next one', async () => {
  const page = await openPage();
  await page.join('Ann');
  expect(page.storage).toEqual({ 'review-rater': 'ann' });
  expect(page.byId('face').getAttribute('src')).toMatch(/^data:image\/jpeg;base64,/);
  const caption = page.byId('sentences').textContent;
  expect(page.visible('facts')).toBe(false);

  page.press('Enter');
  await vi.waitFor(() => expect(page.message()).toMatch(/how accurate/i));
  page.press('2');
  page.press('Enter');
  await vi.waitFor(() => expect(page.message()).toMatch(/y or n/));
  page.press('y');
  page.press('Enter');
  await vi.waitFor(() => expect(page.message()).toMatch(/Mark the sentence/));
  page.press('b');
  expect([...page.byId('sentences').querySelectorAll('label')].map(({ className }) => className)[1]).toBe('wrong');
  page.byId('comment').value = 'no hat';
  page.press('3', page.byId('comment'));
  page.press('Enter', page.byId('comment'));
  expect(page.visible('facts')).toBe(false);
  page.press('Enter', page.byId('comment'), { ctrlKey: true });
  await vi.waitFor(() => expect(page.visible('facts')).toBe(true));
  expect(page.byId('present').textContent).toBe('Smiling');
  expect(page.byId('absent').textContent).toBe('Wearing Hat (guessed)');
  const [rating] = server.export().ratings;
  expect(rating).toMatchObject({
    rater: 'ann',
    accuracy: 2,
    hallucination: true,
    wrongSentences: [1],
    comment: 'no hat',
  });

  page.press('Enter');
  await vi.waitFor(() => expect(page.visible('form')).toBe(true));
  expect(page.byId('sentences').textContent).not.toBe(caption);
  expect(page.byId('comment').value).toBe('');
  expect(page.byId('progress').textContent).toContain('1 of at most 6');
});

test('changing to "no" takes the marks back; a key held down does nothing', async () => {
  const page = await openPage();
  await page.join('a');
  for (const key of ['4', 'y', 'a', 'n']) page.press(key);
  page.press('Enter', page.document.body, { repeat: true });
  expect(server.export().ratings).toEqual([]);
  page.press('Enter');
  await vi.waitFor(() => expect(page.visible('facts')).toBe(true));
  expect(server.export().ratings[0]).toMatchObject({ accuracy: 4, hallucination: false, wrongSentences: [] });
});

test('texts of the data set stay texts', async () => {
  const page = await openPage();
  await page.join('a');
  expect(page.byId('sentences').textContent).toContain(hostile);
  expect([...page.document.querySelectorAll('img')]).toHaveLength(1);
});

test('a server that is away and comes back, also started anew, loses no rating', async () => {
  const page = await openPage();
  await page.join('a');
  for (const key of ['5', 'n']) page.press(key);
  page.cut();
  page.press('Enter');
  await vi.waitFor(() => expect(page.message()).toMatch(/does not answer/));
  const { port } = server;
  await server.close();
  server = await reviewServer({ records: exampleRecords(6), store: place.folder, port });
  page.mend();
  page.press('Enter');
  await vi.waitFor(() => expect(page.visible('facts')).toBe(true));
  expect(server.export().ratings).toHaveLength(1);
});

test('everything that can be operated has a name; the vocabulary is there in groups', async () => {
  const { document, html } = await openPage();
  expect(html).not.toMatch(/(?:src|href)="(?!data:)|https?:\/\//);
  for (const input of document.querySelectorAll('input, textarea')) {
    const label = input.closest('label') ?? document.querySelector(`label[for="${input.id}"]`);
    expect(label?.textContent?.trim()).toMatch(/\w/);
  }
  expect(document.querySelectorAll('input[name="missing"]').length).toBe(54);
  expect([...document.querySelectorAll('[role="group"]')].map((group) => group.getAttribute('aria-label'))).toEqual([
    'appearance',
    'action',
    'emotion',
  ]);
  expect(document.querySelector('img')?.getAttribute('alt')).toMatch(/\w/);
  expect(document.querySelector('#message')?.getAttribute('aria-live')).toBe('polite');
});
