import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launchedRank } from '../collective/launch.ts';
import { trainInWorker } from '../train-in-worker.ts';

// A rank that trains, with signals as the command has them: mpirun … rank-process.ts OUT DATA [DATA-OF-RANK-1].
// Events go to stdout, one line each.

const [out, data, otherData] = process.argv.slice(2) as [string, string, string?];
const rank = launchedRank() ?? 0;
writeFileSync(join(out, `rank-${rank}.pid`), String(process.pid));
const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGUSR2'] as const) process.on(signal, () => stop.abort());
const options = {
  out,
  dataFolder: rank === 1 && otherData ? otherData : data,
  resume: true,
  checkpointEvery: { steps: 3 },
};
const recipeUrl = new URL('./ranks-recipe.ts', import.meta.url).href;
await trainInWorker(
  { recipeUrl, options },
  (event) => process.stdout.write(`${JSON.stringify(event)}\n`),
  stop.signal,
).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
