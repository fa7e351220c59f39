import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Figures of one build and of its stages, each run alone. */
export interface DataStages {
  faces: number;
  seconds: number;
  /** Faces a second, by stage. */
  perSecond: Record<string, number>;
  peakMiB: number;
}

const root = join(import.meta.dirname, '..');

/** Builds a data set of the first `count` faces of a folder in CelebA's layout, in a process of its own, and measures it. */
export async function dataStages(celeba: string, count: number): Promise<DataStages> {
  const out = await mkdtemp(join(tmpdir(), 'data-stages-'));
  const script = join(import.meta.dirname, 'data-side.ts');
  const args = ['--import', 'tsx', '--conditions=source', script, resolve(celeba), join(out, 'set'), String(count)];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  let peakBytes = 0;
  const watch = setInterval(async () => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
    peakBytes = Math.max(peakBytes, 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
  }, 200);
  let text = '';
  for await (const piece of child.stdout) text += piece;
  clearInterval(watch);
  await rm(out, { recursive: true, force: true });
  if (text === '') throw new Error(`data: expected figures of a build from ${celeba}, got none; see above`);
  return { ...(JSON.parse(text) as Omit<DataStages, 'peakMiB'>), peakMiB: peakBytes / 2 ** 20 };
}

export function dataLine({ faces, seconds, perSecond, peakMiB }: DataStages): string {
  const rates = Object.entries(perSecond).map(([stage, rate]) => `${stage} ${Math.round(rate)}/s`);
  return `${'data'.padEnd(13)} ${faces} faces in ${seconds.toFixed(1)} s, at most ${Math.round(peakMiB)} MiB\n              ${rates.join(', ')}`;
}
