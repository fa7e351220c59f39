import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

// Items a second in each stage of `data build`, and the most memory the whole process took, for growing numbers of faces.
// usage: npx tsx --conditions=source bench/data-stages.ts CELEBA [COUNT ...]

const root = join(import.meta.dirname, '..');
const [source, ...counts] = process.argv.slice(2);
if (!source) throw new Error('data-stages: expected a folder in CelebA’s layout, got none; try path/to/celeba');
const build = join(import.meta.dirname, 'data-side.ts');

for (const count of counts.length > 0 ? counts.map(Number) : [1000, 10_000]) {
  const out = await mkdtemp(join(tmpdir(), 'data-stages-'));
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--conditions=source', build, resolve(source), join(out, 'set'), String(count)],
    { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let peakBytes = 0;
  const watch = setInterval(async () => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
    peakBytes = Math.max(peakBytes, 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
  }, 200);
  let text = '';
  for await (const piece of child.stdout) text += piece;
  clearInterval(watch);
  const { faces, seconds, perSecond } = JSON.parse(text) as {
    faces: number;
    seconds: number;
    perSecond: Record<string, number>;
  };
  const rates = Object.entries(perSecond).map(([stage, rate]) => `${stage} ${Math.round(rate)}/s`);
  console.log(
    `${faces} faces: ${seconds.toFixed(1)} s, ${rates.join(', ')}, at most ${Math.round(peakBytes / 2 ** 20)} MiB`,
  );
  await rm(out, { recursive: true, force: true });
}
