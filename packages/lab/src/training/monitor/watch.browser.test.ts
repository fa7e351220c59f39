import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePng, pixelImage } from '@unif2ace/core';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hasChromium, launchChromium } from '../../../../../test/chromium.ts';
import type { TrainEvent } from '../events.ts';
import { RunHistory } from './run-history.ts';
import { type WatchServer, watchServer } from './watch-server.ts';

const hostile = '<img src=x onerror="document.title=1"> & co';
let folder: string;
let server: WatchServer;

const line = (event: TrainEvent) => `${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`;
const progress = (step: number): TrainEvent => ({
  kind: 'progress',
  stage: 'both',
  step,
  steps: 1000,
  loss: 5 - step / 250 + Math.sin(step / 9) / 5,
  metrics: { d3diff: 4 - step / 300, answers: 1 / (1 + step / 50), balance: 1.1 },
  learningRate: 1e-3,
  gradNorm: 0.8,
  memoryBytes: 9e8,
  tokensPerSecond: 12_345,
  flopsPerSecond: 6e10,
  peakShare: 0.41,
  etaSeconds: 4000,
});
const routing = (step: number): TrainEvent => ({
  kind: 'routing',
  stage: 'both',
  step,
  routers: (['t2i', 'mmu'] as const).flatMap((task) =>
    [0, 1, 2].map((layer) => ({
      task,
      level: 'token' as const,
      layer,
      load: Array.from({ length: 8 }, (_, e) => Math.max(0, 1 + Math.sin(e * 2 + layer + step / 300))),
      entropy: 0.9 - layer / 10,
      scoreEntropy: 0.7,
    })),
  ),
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'watch-'));
  await mkdir(join(folder, 'samples'));
  const grid = pixelImage(266, 134);
  grid.data.forEach((_, i) => {
    grid.data[i] = (i * 7) % 251;
  });
  await writeFile(join(folder, 'samples', 'both-step-00000500.png'), encodePng(grid));
  const events: TrainEvent[] = [
    { kind: 'begin', stage: 'both', step: 0, steps: 1000 },
    ...Array.from({ length: 60 }, (_, i) => progress(10 * (i + 1))),
    ...Array.from({ length: 24 }, (_, i) => routing(25 * (i + 1))),
    {
      kind: 'samples',
      stage: 'both',
      step: 500,
      file: 'samples/both-step-00000500.png',
      prompts: ['a man with a beard', hostile],
      facesPerPrompt: 4,
      seed: 0,
      settings: { steps: 12, guidance: 3, weights: 'average' },
    },
    {
      kind: 'answers',
      stage: 'both',
      step: 500,
      answers: [{ face: '000012', question: 'Is she smiling?', answer: 'No.', expected: 'Yes, she is smiling.' }],
    },
    {
      kind: 'alarm',
      stage: 'both',
      step: 600,
      raised: true,
      text: 'routing: t2i, token level, layer 2: expert 3 starves',
    },
  ];
  await writeFile(join(folder, 'metrics.jsonl'), events.map(line).join(''));
  server = await watchServer({ folder, port: 0 });
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

function raw(path: string, headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const going = request({ host: '127.0.0.1', port: server.port, path, headers }, (reply) => {
      let text = '';
      reply.on('data', (part) => {
        text += part;
      });
      reply.on('end', () => resolve({ status: reply.statusCode!, text }));
    });
    going.on('error', reject);
    going.end();
  });
}

describe('the server', () => {
  test('answers to its own names only, and gives nothing but samples of the run', async () => {
    expect((await raw('/api/run')).status).toBe(200);
    expect((await raw('/api/run', { host: 'evil.example' })).status).toBe(403);
    expect((await raw('/api/run', { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    for (const path of [
      '/samples/..%2fmetrics.jsonl',
      '/samples/%2e%2e%2fmetrics.jsonl',
      '/samples/none.png',
      '/metrics.jsonl',
    ])
      expect((await raw(path)).status, path).toBe(404);
    await expect(watchServer({ folder, host: '0.0.0.0' })).rejects.toThrow('expected a loopback host');
    await expect(watchServer({ folder, port: server.port })).rejects.toThrow(
      /to be free, got EADDRINUSE; try --port 0/,
    );
  });

  test('a view that is known is not sent again; a file that is rewritten is read anew', async () => {
    const history = new RunHistory(folder);
    const { version, stages } = await history.view();
    expect((await history.view()).version).toBe(version);
    expect(stages[0]!.curves.step).toHaveLength(60);
    await appendFile(join(folder, 'metrics.jsonl'), line(progress(610)).slice(0, 40));
    expect((await history.view()).stages[0]!.curves.step).toHaveLength(60);
    await appendFile(join(folder, 'metrics.jsonl'), line(progress(610)).slice(40));
    const more = await history.view();
    expect(more.version).not.toBe(version);
    expect(more.stages[0]!.curves.step!.at(-1)).toBe(610);
    await rm(join(folder, 'metrics.jsonl'));
    await writeFile(join(folder, 'metrics.jsonl'), line(progress(7)));
    expect((await history.view()).stages[0]!.curves.step).toEqual([7]);
  });

  test('long runs are thinned to means', async () => {
    await writeFile(join(folder, 'metrics.jsonl'), Array.from({ length: 2000 }, (_, i) => line(progress(i))).join(''));
    const { curves } = (await new RunHistory(folder).view()).stages[0]!;
    expect(curves.step).toHaveLength(400);
    expect(curves.step!.at(-1)).toBe(1999);
    expect(curves.d3diff![0]).toBeCloseTo(4 - 2 / 300, 10);
  });
});

describe.skipIf(!hasChromium)('the page in Chromium', () => {
  let browser: Browser;
  let page: Page;
  const faults: string[] = [];
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    faults.length = 0;
    page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    page.on('request', (asked) => {
      if (new URL(asked.url()).origin !== new URL(server.url).origin) faults.push(asked.url());
    });
    await page.goto(server.url);
    await page.waitForSelector('.curve canvas');
  });
  afterEach(async () => {
    await page.close();
    expect(faults).toEqual([]);
  });

  test('shows curves, samples, answers, routing and the alarm, and follows the run', async () => {
    expect(await page.locator('#curves .curve').count()).toBe(7);
    expect(await page.textContent('#figures')).toContain('41 %');
    expect(await page.textContent('#alarms')).toContain('expert 3 starves');
    expect(await page.evaluate("document.getElementById('sample-image').naturalWidth")).toBe(266);
    expect(await page.textContent('#sample-caption')).toContain('12 denoising steps · guidance 3 · average weights');
    expect(await page.textContent('#sample-prompts')).toContain(hostile);
    expect(await page.textContent('#answer-rows')).toContain('✗ No.');
    expect(await page.locator('#loads td').count()).toBe(3 * 9 + 1);
    await page.selectOption('#router', 'mmu, token level');
    expect(await page.locator('#heat canvas').count()).toBe(3);
    const cleared = { kind: 'alarm', stage: 'both', step: 700, raised: false } as const;
    await appendFile(
      join(folder, 'metrics.jsonl'),
      line(progress(700)) + line({ ...cleared, text: 'routing: t2i, token level, layer 2: balanced again' }),
    );
    await page.locator('#figures', { hasText: '700 of 1,000' }).waitFor();
    await page.locator('#alarms').waitFor({ state: 'hidden' });
  });

  test('arrow keys move along a curve; the end of the run is told', async () => {
    const box = page.locator('#curves .curve').first();
    await box.focus();
    await page.keyboard.press('Home');
    expect(await box.textContent()).toContain('at 10');
    await page.keyboard.press('ArrowRight');
    expect(await box.textContent()).toContain('at 20');
    await server.close();
    await page.locator('#state', { hasText: 'has ended' }).waitFor();
    // the refused connection is a line of the console
    faults.length = 0;
  });

  test.each(['light', 'dark'] as const)(
    'no serious fault for assistive technology (%s), no sideways scrolling on a phone',
    async (colorScheme) => {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width: 360, height: 740 });
      await page.reload();
      await page.waitForSelector('.curve canvas');
      await page.evaluate(axe.source);
      const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      expect(serious.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
      const shots = process.env.UNIF2ACE_SCREENSHOTS;
      if (shots) {
        await page.screenshot({ path: join(shots, `watch-phone-${colorScheme}.png`), fullPage: true });
        await page.setViewportSize({ width: 1200, height: 900 });
        await page.reload();
        await page.waitForSelector('.curve canvas');
        await page.screenshot({ path: join(shots, `watch-${colorScheme}.png`), fullPage: true });
      }
    },
  );
});
