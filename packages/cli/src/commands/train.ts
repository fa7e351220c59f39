import { readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Recipe, runRecipe, type TrainEvent } from '@unif2ace/lab';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { CommandError } from '../errors.ts';
import { addJsonOption, jsonOption, parseOptions, pathOption, seedOption } from '../options.ts';
import { planFolder, writeJson } from '../output.ts';
import { duration, progressText, StatusLine, short } from '../progress.ts';

const Options = z.object({
  json: jsonOption,
  resume: z.boolean().default(false),
  out: pathOption.optional(),
  data: pathOption.optional(),
  seed: seedOption.optional(),
});

export function addTrain(program: Command, env: Environment): void {
  const command = program
    .command('train')
    .description('train a model by a recipe')
    .argument('<recipe>', 'name of a recipe, for example pico')
    .option('--resume', 'keep the stages that are finished')
    .option('--out <folder>', 'folder of the model (default: out/<recipe>)')
    .option('--data <folder>', "faces in CelebA's layout (default: $UNIF2ACE_DATA/celeba or ../shared/data/celeba)")
    .option('--seed <number>', "another seed than the recipe's");
  addJsonOption(command).action((name: string, raw: Record<string, unknown>) => train(env, name, raw));
}

/** Names of the recipes, from the folder that the recipes' package resolves to. */
async function recipeNames(env: Environment): Promise<string[]> {
  let folder = join(env.root, 'recipes', 'src');
  try {
    folder = dirname(fileURLToPath(import.meta.resolve('@unif2ace/recipes/pico')));
  } catch {
    // a loader without resolve: the checkout's folder
  }
  const files = await readdir(folder).catch(() => []);
  const names = files.flatMap((file) => /^([\w-]+)\.[jt]s$/.exec(file)?.[1] ?? []);
  return [...new Set(names)].sort();
}

async function loadRecipe(env: Environment, name: string): Promise<Recipe> {
  const names = await recipeNames(env);
  if (!names.includes(name))
    throw new CommandError('recipe', `one of ${names.join(', ')}`, name, 'unif2ace train pico');
  const { default: recipe } = (await import(`@unif2ace/recipes/${name}`)) as { default: Recipe };
  return recipe;
}

/** The folder of faces, checked before work starts. */
async function dataFolder(env: Environment, given: string | undefined): Promise<string> {
  const shared = process.env.UNIF2ACE_DATA ?? join(env.root, '..', 'shared', 'data');
  const folder = given === undefined ? join(shared, 'celeba') : resolve(env.cwd, given);
  const found = await stat(folder).catch(() => null);
  if (!found?.isDirectory())
    throw new CommandError(
      '--data',
      "a folder in CelebA's layout",
      `nothing at ${folder}`,
      '--data FOLDER or UNIF2ACE_DATA',
    );
  return folder;
}

/** Turns events into lines and keeps the last figures of each stage. */
export class TrainReport {
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
    else this.#status.log(event.text);
  };

  #finish(stage: string): void {
    const { steps, loss, metrics } = this.stages[stage]!;
    const figures = Object.entries({ loss, ...metrics }).map(([name, value]) => `${name} ${short(value)}`);
    this.#status.log(`${stage}: ${steps.toLocaleString('en-US')} steps, ${figures.join(', ')}`);
  }
}

async function train(env: Environment, name: string, raw: Record<string, unknown>): Promise<void> {
  const options = parseOptions('train', Options, raw);
  const recipe = await loadRecipe(env, name);
  const out = await planFolder(env, options.out ?? join('out', name));
  const data = await dataFolder(env, options.data);
  const startMs = performance.now();
  const report = new TrainReport(new StatusLine(env.stderr));
  const seed = options.seed ?? recipe.seed;
  const { resume } = options;
  const config = await runRecipe(
    { ...recipe, seed },
    { out, dataFolder: data, resume, signal: env.signal, onEvent: report.onEvent },
  );
  const seconds = Math.round((performance.now() - startMs) / 1000);
  if (options.json) writeJson(env, { recipe: name, model: config.name, seed, out, seconds, stages: report.stages });
  else
    env.stdout.write(
      `${out}\ntrained in ${duration(seconds)}; try unif2ace generate "a smiling woman" --model ${out}\n`,
    );
}
