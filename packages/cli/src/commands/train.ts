import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { launchedRank, type TrainEvent, trainInWorker, type WatchServer, watchServer } from '@unif2ace/lab';
import type { Command } from 'commander';
import { z } from 'zod';
import { dataFolder, dataOption } from '../data-folder.ts';
import type { Environment } from '../environment.ts';
import { CommandError } from '../errors.ts';
import { resolveModel } from '../model.ts';
import { addJsonOption, jsonOption, numberFrom, parseOptions, pathOption } from '../options.ts';
import { planFolder, writeJson } from '../output.ts';
import { duration, progressText, StatusLine, short } from '../progress.ts';

const Options = z.object({
  json: jsonOption,
  resume: z.boolean().default(false),
  from: pathOption.optional(),
  out: pathOption.optional(),
  data: pathOption.optional(),
  tensorboard: z.boolean().default(false),
  watch: z.boolean().default(false),
  port: numberFrom(0, 65535).optional(),
});

export function addTrain(program: Command, env: Environment): void {
  const command = program
    .command('train')
    .description('train a model by a recipe')
    .argument('<recipe>', 'name of a recipe, for example pico, or path of a .ts or .js file')
    .option('--resume', 'keep the stages that are finished')
    .option('--from <model>', 'go on from a trained model: its backbone is trained further by the stages of the recipe')
    .option('--out <folder>', 'folder of the model (default: out/<recipe>)')
    .option(...dataOption)
    .option('--tensorboard', 'write event files for TensorBoard beside metrics.jsonl')
    .option('--watch', 'serve a live page of the run to this computer')
    .option('--port <port>', 'port of the live page (default: 4871; 0: a free one)');
  addJsonOption(command).action((name: string, raw: Record<string, unknown>) => train(env, name, raw));
}

/** Address of a recipe's module, by name or by path. @throws CommandError that lists the recipes. */
async function recipeUrl(env: Environment, name: string): Promise<string> {
  if (/[\\/]|[.][cm]?[jt]s$/.test(name)) {
    const path = resolve(env.cwd, name);
    const found = await stat(path).catch(() => undefined);
    if (!found?.isFile())
      throw new CommandError('recipe', 'a file', `nothing at ${path}`, 'another path, or a name like pico');
    return pathToFileURL(path).href;
  }
  const known = import.meta.resolve('@unif2ace/recipes/pico');
  const files = await readdir(dirname(fileURLToPath(known)));
  const names = [...new Set(files.flatMap((file) => /^([\w-]+)\.[jt]s$/.exec(file)?.[1] ?? []))].sort();
  if (!names.includes(name))
    throw new CommandError('recipe', `one of ${names.join(', ')} or a path`, name, 'unif2ace train pico');
  return import.meta.resolve(`@unif2ace/recipes/${name}`);
}

/** Turns events into lines and keeps the last figures of each stage. */
class TrainReport {
  readonly stages: Record<string, { steps: number; loss: number; metrics: Record<string, number> }> = {};
  readonly #status: StatusLine;

  constructor(status: StatusLine) {
    this.#status = status;
  }

  readonly onEvent = (event: TrainEvent): void => {
    if (event.kind === 'progress') {
      this.#status.show(progressText(event));
      this.stages[event.stage] = { steps: event.step, loss: event.loss, metrics: event.metrics };
      if (event.step === event.steps) this.#finish(event.stage);
    } else if (event.kind === 'stage') this.#status.log(event.detail ? `${event.name}: ${event.detail}` : event.name);
    else if (event.kind === 'log') this.#status.log(event.text);
    else if (event.kind === 'alarm') this.#status.log(`${event.raised ? 'ALARM' : 'all clear'}: ${event.text}`);
    else if (event.kind === 'samples') this.#status.log(`${event.stage}: samples in ${event.file}`);
  };

  #finish(stage: string): void {
    const { steps, loss, metrics } = this.stages[stage]!;
    const figures = Object.entries({ loss, ...metrics }).map(([name, value]) => `${name} ${short(value)}`);
    this.#status.log(`${stage}: ${steps.toLocaleString('en-US')} steps, ${figures.join(', ')}`);
  }
}

/** The live page; its address is told. @throws TrainError for a port that is taken */
async function openPage(folder: string, port: number | undefined, status: StatusLine): Promise<WatchServer> {
  const server = await watchServer({ folder, ...(port !== undefined && { port }) });
  status.log(`watch: ${server.url}`);
  return server;
}

async function train(env: Environment, name: string, raw: Record<string, unknown>): Promise<void> {
  const options = parseOptions('train', Options, raw);
  const recipe = await recipeUrl(env, name);
  const out = await planFolder(env, options.out ?? join('out', basename(name).replace(/[.][cm]?[jt]s$/, '')));
  const data = await dataFolder(env, options.data);
  const startMs = performance.now();
  const status = new StatusLine(env.stderr);
  const report = new TrainReport(status);
  const run = {
    recipeUrl: recipe,
    options: {
      out,
      dataFolder: data,
      resume: options.resume,
      tensorboard: options.tensorboard,
      ...(options.from && { from: await resolveModel(env, options.from) }),
    },
  };
  const isFirst = (launchedRank() ?? 0) === 0;
  const page = options.watch && isFirst ? await openPage(out, options.port, status) : undefined;
  const { recipeKind, scores } = await trainInWorker(run, report.onEvent, env.signal).finally(async () => {
    status.clear();
    await page?.close();
  });
  const seconds = Math.round((performance.now() - startMs) / 1000);
  // of the ranks of a job the first reports
  if (!isFirst) return;
  if (options.json) return writeJson(env, { recipe: name, out, seconds, stages: report.stages, scores });
  const measured = Object.entries(scores).map(([figure, value]) => `${figure} ${short(value)}\n`);
  const next = recipeKind === 'model' ? `; try unif2ace generate "a smiling woman" --model ${out}` : '';
  env.stdout.write(`${out}\n${measured.join('')}trained in ${duration(seconds)}${next}\n`);
}
