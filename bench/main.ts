import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { dataFolder } from '@unif2ace/lab';
import nano from '@unif2ace/recipes/nano';
import { type BrowserTimes, browserLine, browserTimes } from './browser.ts';
import sizes from './cases.json' with { type: 'json' };
import { type DataStages, dataLine, dataStages } from './data-stages.ts';
import { jointStage, peerSizes } from './nano-setup.ts';
import { type ServeFigures, serveFigures, serveTable } from './serve.ts';
import { median, Side } from './side.ts';

// Times our engine against Debian's python3-torch where that is installed, repetitions interleaved, medians and ratios.
// usage: npm run bench -- [CASE…] [--repetitions N] [--full]   (--full: decode through all 24 layers, 6 GB a side)
// Only when named: `export` (1,000,000 questions) and `data` (a build, stage by stage; --faces N, default 1,000; CelebA's
// layout in $UNIF2ACE_DATA/celeba or ../shared/data/celeba) and `serve` (the server as a process under 8 users; --model M,
// --requests N, default pico and 2,000; --threads N as `unif2ace serve` has it) and `browser` (nano as
// WebAssembly in Chromium).

interface Plan {
  name: string;
  /** What our time is compared with, besides the peer. */
  against?: string;
  /** Nothing to compare with in the peer. */
  peerless?: true;
  /** Without a peer and warm-up, once, when named. */
  alone?: true;
}

const folder = import.meta.dirname;
const outFolder = join(folder, '..', 'out');
const restMs = 300;
const plans: Plan[] = [
  { name: 'gpt_step' },
  { name: 'conv' },
  { name: 'moe', against: 'moe_dense' },
  { name: 'nano_step' },
  { name: 'decode_small' },
  { name: 'denoise', against: 'denoise_plain', peerless: true },
  { name: 'concurrent', against: 'one_by_one', peerless: true },
  { name: 'answers', against: 'answers_8', peerless: true },
  { name: 'first_token', peerless: true },
  { name: 'export', alone: true },
];

interface Result {
  case: string;
  oursMs: number;
  oursMinMs: number;
  oursPeakMiB: number;
  /** Torch as installed, and with OMP_WAIT_POLICY=PASSIVE, which keeps its two thread pools apart. */
  peer: {
    setting: 'installed' | 'passive';
    ms: number;
    minMs: number;
    peakMiB: number;
    ratio: number;
    memoryRatio: number;
  }[];
  own: { case: string; ms: number; ratio: number } | null;
}

async function runCase(plan: Plan, asked: number): Promise<Result> {
  const repetitions = plan.alone ? 1 : asked;
  const ours = (await Side.start('npx', ['tsx', '--conditions=source', join(folder, 'ours.ts')]))!;
  const python = [join(folder, 'peer', 'peer.py'), casesFile];
  const started =
    plan.peerless || plan.alone
      ? []
      : [
          {
            setting: 'installed' as const,
            started: await Side.start('/usr/bin/python3', python, { PEER_WAIT: 'default' }),
          },
          { setting: 'passive' as const, started: await Side.start('/usr/bin/python3', python) },
        ];
  const peers = started.flatMap(({ setting, started }) => (started ? [{ setting, side: started.side }] : []));
  const other = plan.against
    ? (await Side.start('npx', ['tsx', '--conditions=source', join(folder, 'ours.ts')]))!
    : null;

  const sides = [
    { key: 'ours', side: ours.side, name: plan.name },
    ...peers.map(({ setting, side }) => ({ key: setting as string, side, name: plan.name })),
    ...(other ? [{ key: 'own', side: other.side, name: plan.against! }] : []),
  ];
  const times: Record<string, number[]> = {};
  const memory: Record<string, number> = {};
  for (let repetition = 0; repetition < repetitions; repetition++)
    for (const { key, side, name } of sides) {
      // the threads of the side before still spin for a moment
      await setTimeout(restMs);
      const reply = await side.repeat(name, repetition === 0 && !plan.alone ? 2 : 0);
      const list = times[key] ?? [];
      times[key] = list;
      list.push(reply.ms);
      memory[key] = reply.peakRssMiB;
    }
  for (const { side } of sides) await side.close();
  const oursMs = median(times.ours!);
  return {
    case: plan.name,
    oursMs,
    oursMinMs: Math.min(...times.ours!),
    oursPeakMiB: memory.ours!,
    peer: peers.map(({ setting }) => ({
      setting,
      ms: median(times[setting]!),
      minMs: Math.min(...times[setting]!),
      peakMiB: memory[setting]!,
      ratio: oursMs / median(times[setting]!),
      memoryRatio: memory.ours! / memory[setting]!,
    })),
    own: plan.against ? { case: plan.against, ms: median(times.own!), ratio: oursMs / median(times.own!) } : null,
  };
}

function line(result: Result): string {
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const parts = [
    `${result.case.padEnd(13)} ours ${ms(result.oursMs)} (min ${ms(result.oursMinMs)}, ${result.oursPeakMiB.toFixed(0)} MiB)`,
  ];
  for (const peer of result.peer)
    parts.push(
      `torch ${peer.setting} ${ms(peer.ms)} (${peer.peakMiB.toFixed(0)} MiB): time × ${peer.ratio.toFixed(2)}, memory × ${peer.memoryRatio.toFixed(2)}`,
    );
  if (result.own) parts.push(`${result.own.case} ${ms(result.own.ms)}: × ${result.own.ratio.toFixed(2)}`);
  return parts.join('\n              ');
}

const { values: flags, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    repetitions: { type: 'string', default: '9' },
    full: { type: 'boolean', default: false },
    faces: { type: 'string', default: '1000' },
    requests: { type: 'string', default: '2000' },
    model: { type: 'string', default: 'pico' },
    threads: { type: 'string' },
  },
});
const [repetitions, faces, requests] = [flags.repetitions, flags.faces, flags.requests].map(Number) as [
  number,
  number,
  number,
];
for (const [name, value] of Object.entries({ repetitions, faces, requests }))
  if (!Number.isInteger(value) || value < 1) {
    console.error(`bench: --${name}: expected a whole number from 1 on, got ${flags[name as 'faces']}`);
    process.exit(2);
  }
const all: Plan[] = flags.full ? [...plans, { name: 'decode' }] : plans;
const names = [...all.map(({ name }) => name), 'data', 'serve', 'browser'];
const unknown = wanted.find((name) => !names.includes(name));
if (unknown) {
  console.error(`bench: unknown case ${unknown}; expected one of ${names.join(', ')}`);
  process.exit(2);
}
// the peer's model has the sizes of the recipe
const casesFile = join(outFolder, 'bench-cases.json');
const model = nano.model(nano.textVocabSize);
const withRecipe = { ...sizes, nano_step: peerSizes(model, jointStage(nano), sizes.nano_step.faces) };
await mkdir(outFolder, { recursive: true });
await writeFile(casesFile, JSON.stringify(withRecipe));
const results: (
  | Result
  | ({ case: 'data' } & DataStages)
  | ({ case: 'serve' } & ServeFigures)
  | ({ case: 'browser' } & BrowserTimes)
)[] = [];
console.log(
  `${cpus().length} cores, load ${loadavg()[0]!.toFixed(2)}, medians of ${repetitions} interleaved repetitions`,
);
let comparedOnce = false;
for (const plan of all.filter(({ name, alone }) => (wanted.length === 0 ? !alone : wanted.includes(name)))) {
  const result = await runCase(plan, repetitions);
  const hasPeer = !plan.alone && !plan.peerless;
  if (!comparedOnce && hasPeer && result.peer.length === 0)
    console.log('python3-torch is not installed: our own figures alone');
  comparedOnce ||= hasPeer;
  results.push(result);
  console.log(line(result));
}
if (wanted.includes('data')) {
  const stages = await dataStages(join(dataFolder(), 'celeba'), faces);
  results.push({ case: 'data', ...stages });
  console.log(dataLine(stages));
}
if (wanted.includes('serve')) {
  const figures = await serveFigures(flags.model, requests, flags.threads ? ['--threads', flags.threads] : []);
  results.push({ case: 'serve', ...figures });
  console.log(serveTable(figures));
}
if (wanted.includes('browser')) {
  const times = await browserTimes(repetitions);
  results.push({ case: 'browser', ...times });
  console.log(browserLine(times));
}
const file = join(outFolder, 'bench.json');
await writeFile(
  file,
  `${JSON.stringify({ date: new Date().toISOString(), cores: cpus().length, load: loadavg(), repetitions, results }, null, 2)}\n`,
);
console.log(`written: ${file}`);
