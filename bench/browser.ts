import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildPage, openApi, root, serveFolder } from '../test/browser/support.ts';
import { launchChromium } from '../test/chromium.ts';
import { median } from './side.ts';

/** Nano in Chromium as WebAssembly: one face of 12 steps with guidance. */
export interface BrowserTimes {
  threads: { threads: string; loadMs: number; firstFaceMs: number; faceMs: number; memoryMiB: number | null }[];
}

const prompt = 'a smiling woman with blond hair';

/** Loading from this machine, the first face (graphs are made, code is compiled), the median of those after it. */
export async function browserTimes(repetitions: number): Promise<BrowserTimes> {
  const folder = await mkdtemp(join(tmpdir(), 'unif2ace-bench-'));
  const browser = await launchChromium();
  const threads: BrowserTimes['threads'] = [];
  try {
    await buildPage(join(root, 'test', 'browser', 'page'), folder);
    for (const isolated of [true, false]) {
      const server = await serveFolder(folder, { isolated });
      const page = await browser.newPage();
      page.setDefaultTimeout(600_000);
      const api = await openApi(page, server.url);
      const start = performance.now();
      await api.evaluate((it, from) => it.load(from, 'auto'), `${server.url}/weights/nano`);
      const loadMs = performance.now() - start;
      const face = async () => (await api.evaluate((it, text) => it.draw(text, { seed: 7 }), prompt)).ms;
      const firstFaceMs = await face();
      const times: number[] = [];
      for (let i = 0; i < repetitions; i++) times.push(await face());
      await api.evaluate((it) => it.ask('Is the person smiling?'));
      const memory = await api.evaluate((it) => it.memoryBytes());
      const reason = await api.evaluate((it) => it.devices.at(-1)!.reason);
      threads.push({
        threads: reason,
        loadMs,
        firstFaceMs,
        faceMs: median(times),
        memoryMiB: memory === null ? null : memory / 2 ** 20,
      });
      await page.close();
      server.close();
    }
    return { threads };
  } finally {
    await browser.close();
    await rm(folder, { recursive: true, force: true });
  }
}

export function browserLine({ threads }: BrowserTimes): string {
  const ms = (value: number) => `${value.toFixed(0)} ms`;
  return threads
    .map(
      ({ threads: reason, loadMs, firstFaceMs, faceMs, memoryMiB }) =>
        `browser       nano in Chromium, ${reason}: face ${ms(faceMs)}, first ${ms(firstFaceMs)}, load ${ms(loadMs)}${memoryMiB === null ? '' : `, ${memoryMiB.toFixed(0)} MiB`}`,
    )
    .join('\n');
}
