import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadAttributeClassifier } from '@unif2ace/core/node';
import {
  type BuildOptions,
  buildDataset,
  type Captioner,
  defaultConfidence,
  defaultDetectSettings,
  FaceWorkers,
  GrammarCaptioner,
  GrammarQuestionWriter,
  LlmCaptioner,
  LlmEndpoint,
  type LlmEvent,
  LlmQuestionWriter,
  openLmdbStore,
  openPostgresStore,
  type QuestionWriter,
  queueAhead,
  readOptOut,
  resultStoreOf,
  type StageProgress,
  workOnQueue,
} from '@unif2ace/lab';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { ItemsFailed, UsageError } from '../errors.ts';
import { addJsonOption, jsonOption, numberFrom, parseOptions, pathOption, seedOption } from '../options.ts';
import { planFolder, writeJson } from '../output.ts';
import { duration, StatusLine, short } from '../progress.ts';
import { addDataHash } from './data-hash.ts';
import { addDataLook } from './data-look.ts';

/** Prices of a million tokens, in and out. */
const priceOption = z
  .string()
  .regex(/^\d+(?:\.\d+)?,\d+(?:\.\d+)?$/, { error: 'two prices as IN,OUT, such as 0.15,0.6' })
  .transform((text) => {
    const [input, output] = text.split(',').map(Number) as [number, number];
    return { input, output };
  });

const llmOptions = {
  llm: z.url({ error: 'the address of an OpenAI-compatible endpoint, such as http://127.0.0.1:8000/v1' }).optional(),
  llmModel: z.string().optional(),
  llmKeyEnv: z.string().default('OPENAI_API_KEY'),
  llmConcurrency: numberFrom(1, 256).default(4),
  llmPrice: priceOption.optional(),
};
const buildLlmOptions = { llmBatch: z.boolean().default(false), llmRetry: z.boolean().default(false) };

const BuildFlags = z.object({
  json: jsonOption,
  out: pathOption,
  seed: seedOption.default(1),
  size: numberFrom(16, 1024).default(defaultDetectSettings.size),
  faces: z.enum(['largest', 'all', 'single'], { error: 'largest, all or single' }).default('largest'),
  minFace: numberFrom(8, 4096).default(defaultDetectSettings.minFacePixels),
  threads: numberFrom(1, 256).optional(),
  optOut: pathOption.optional(),
  adultsOnly: z.boolean().default(false),
  terms: z
    .array(
      z.string().regex(/^[^=]+=.+$/, {
        error: 'the terms of a source as NAME=TEXT, such as photos="ours, all rights reserved"',
      }),
    )
    .default([]),
  queue: z.string().optional(),
  ...llmOptions,
  ...buildLlmOptions,
});

const WorkFlags = z.object({ queue: z.string().min(1), threads: numberFrom(1, 256).optional(), ...llmOptions });

export function addData(program: Command, env: Environment): void {
  const data = program.command('data').description('build and look at captioned, question-answered face data');
  addDataLook(data, env);
  addDataHash(data, env);
  const build = data
    .command('build')
    .description('build a data set from folders, archives or Parquet files of faces')
    .argument('<source...>', 'a folder or file; kind:path forces its kind (celeba, utkface, celebvhq, ffhq, …)')
    .requiredOption('--out <folder>', 'folder of the data set; intermediate results lie beside it in <folder>.work')
    .option('--seed <n>', 'seed of the wording', '1')
    .option('--size <pixels>', 'edge of the aligned crops', String(defaultDetectSettings.size))
    .option(
      '--faces <which>',
      'faces of one photo: largest, all, or single (photos with several are left out)',
      'largest',
    )
    .option('--min-face <pixels>', 'smallest face in a photo', String(defaultDetectSettings.minFacePixels))
    .option('--opt-out <file>', 'list of people to leave out: lines sha256:HEX or face:HEX')
    .option('--adults-only', 'leave out faces whose known age is under 18')
    .option(
      '--terms <name=text>',
      'terms of a source, for the data card (known for CelebA, UTKFace, CelebV-HQ, FFHQ); may be repeated',
      (text: string, all: string[] = []) => [...all, text],
    )
    .option('--queue <url>', 'PostgreSQL: share the work with `unif2ace data work` on other hosts')
    .option('--threads <n>', 'threads (default: one a core)');
  addLlmOptions(build)
    .option(
      '--llm-batch',
      'ask in batches, at half the price: submits and ends with code 3; the same command goes on later',
    )
    .option('--llm-retry', 'ask again for what earlier runs gave up: refusals and answers of no use');
  addJsonOption(build).action((sources: string[], raw: Record<string, unknown>) => buildCommand(env, sources, raw));
  const work = data
    .command('work')
    .description('work for builds on a queue until interrupted')
    .requiredOption('--queue <url>', 'PostgreSQL of the builds')
    .option('--threads <n>', 'threads (default: one a core)');
  addLlmOptions(work).action((raw: Record<string, unknown>) => workCommand(env, raw));
}

function addLlmOptions(command: Command): Command {
  return command
    .option('--llm <url>', 'captions and questions by an OpenAI-compatible endpoint; photos are sent there')
    .option('--llm-model <name>', 'its model')
    .option('--llm-key-env <variable>', 'environment variable that holds its key', 'OPENAI_API_KEY')
    .option('--llm-concurrency <n>', 'requests at once', '4')
    .option('--llm-price <in,out>', 'prices of a million tokens, to show the cost so far');
}

/** Folder of the bundled attribute classifier; null where it is missing. */
function classifierFolder(env: Environment): string | null {
  const folder = join(env.root, 'weights', 'attributes');
  return existsSync(join(folder, 'model.json')) ? folder : null;
}

type LlmFlags = z.output<z.ZodObject<typeof llmOptions>>;

/** Grammar, or an endpoint whose answers go into the store before they count. */
function writers(
  flags: LlmFlags & { llmBatch?: boolean },
  store: Awaited<ReturnType<typeof openLmdbStore>>,
  onEvent: (event: LlmEvent) => void,
): { captioner: Captioner; questionWriter: QuestionWriter; endpoint: LlmEndpoint | null } {
  if (!flags.llm)
    return { captioner: new GrammarCaptioner(), questionWriter: new GrammarQuestionWriter(), endpoint: null };
  if (!flags.llmModel)
    throw new UsageError('--llm-model: expected the name of a model, got none; try --llm-model NAME');
  const endpoint = new LlmEndpoint({
    baseURL: flags.llm,
    apiKey: process.env[flags.llmKeyEnv] ?? 'none',
    model: flags.llmModel,
    store: resultStoreOf(store),
    concurrency: flags.llmConcurrency,
    ask: flags.llmBatch ? 'batch' : 'now',
    ...(flags.llmPrice && { pricePerMillionTokens: flags.llmPrice }),
    onEvent,
  });
  return { captioner: new LlmCaptioner(endpoint, {}), questionWriter: new LlmQuestionWriter(endpoint, {}), endpoint };
}

/** What was submitted is remembered beside the data set. */
function batchOptions(env: Environment, out: string) {
  return { statePath: `${out}.batches.json`, signal: env.signal };
}

function progressLine({ stage, done, total, perSecond, etaSeconds }: StageProgress): string {
  const of = total === undefined ? '' : ` of ${total.toLocaleString('en-US')}`;
  const left = etaSeconds === undefined ? '' : ` · ${duration(etaSeconds)} left`;
  return `${stage} ${done.toLocaleString('en-US')}${of} · ${short(Math.round(perSecond * 10) / 10)}/s${left}`;
}

async function buildCommand(env: Environment, sources: string[], raw: Record<string, unknown>): Promise<void> {
  const flags = parseOptions('data build', BuildFlags, raw);
  if (flags.llmBatch && (!flags.llm || flags.queue))
    throw new UsageError('--llm-batch: expected --llm and no --queue beside it; try one host and --llm URL');
  if (flags.llmRetry && (!flags.llm || flags.llmBatch))
    throw new UsageError(
      '--llm-retry: expected --llm and no --llm-batch beside it; to ask again in batches, delete OUT.batches.json',
    );
  const out = await planFolder(env, flags.out);
  const status = new StatusLine(env.stderr);
  const startMs = performance.now();
  const store = flags.queue ? await openPostgresStore(flags.queue) : await openLmdbStore(`${out}.work`);
  const ahead = flags.queue
    ? await queueAhead(flags.queue, (left) => status.show(`queue: about ${left} items left`)).catch(async (error) => {
        await store.close();
        throw error;
      })
    : null;
  try {
    const { captioner, questionWriter, endpoint } = writers(flags, store, (event) => {
      if (event.type === 'paused') status.log(`paused: the endpoint asks to wait ${duration(event.forMs / 1000)}`);
      if (event.type === 'batch-submitted') status.log(`submitted: ${event.items} requests in ${event.batchId}`);
    });
    const cost = () => {
      if (!endpoint) return '';
      const { inputTokens, outputTokens, cost: paid } = endpoint.tally;
      return ` · ${short(inputTokens + outputTokens)} tokens${flags.llmPrice ? ` · ${paid.toFixed(2)} paid` : ''}`;
    };
    const options: BuildOptions = {
      sources: sources.map((source) => absolute(env, source)),
      out,
      seed: flags.seed,
      settings: { size: flags.size, faces: flags.faces, minFacePixels: flags.minFace },
      classifierFolder: classifierFolder(env),
      captioner,
      questionWriter,
      adultsOnly: flags.adultsOnly,
      askAgain: flags.llmRetry,
      terms: flags.terms.map((entry) => {
        const at = entry.indexOf('=');
        return { name: entry.slice(0, at), terms: entry.slice(at + 1) };
      }),
      store,
      onProgress: (progress) => status.show(progressLine(progress) + cost()),
      signal: env.signal,
      ...(flags.optOut && { optOut: await readOptOut(resolve(env.cwd, flags.optOut)) }),
      ...(flags.threads && { threads: flags.threads }),
      ...(ahead && { ahead }),
      ...(flags.llmBatch && endpoint && { batch: { endpoint, options: batchOptions(env, out) } }),
    };
    const summary = await buildDataset(options).finally(() => status.clear());
    const seconds = (performance.now() - startMs) / 1000;
    const failed = summary.rejected.filter(({ wanted }) => !wanted).length;
    const { faces, questions, photos, perSecond, rejected } = summary;
    if (flags.json)
      writeJson(env, { out, photos, faces, questions, rejected: rejected.length, failed, seconds, perSecond });
    else
      env.stdout.write(
        [
          out,
          `${faces.toLocaleString('en-US')} faces of ${photos.toLocaleString('en-US')} photos, ${questions.toLocaleString('en-US')} questions, in ${duration(seconds)}`,
          ...Object.entries(perSecond).map(([stage, rate]) => `${stage.padEnd(12)}${short(Math.round(rate))} a second`),
          '',
        ].join('\n'),
      );
    if (failed > 0)
      throw new ItemsFailed(
        failed,
        `data build: ${failed} items could not be used; see ${join(out, 'rejections.jsonl')} for the reasons`,
      );
  } finally {
    await ahead?.close();
    await store.close();
  }
}

/** Paths are relative to the folder where the command runs; a kind in front stays. */
function absolute(env: Environment, source: string): string {
  const forced = /^([a-z]+):(.*)$/.exec(source);
  return forced ? `${forced[1]}:${resolve(env.cwd, forced[2]!)}` : resolve(env.cwd, source);
}

async function workCommand(env: Environment, raw: Record<string, unknown>): Promise<void> {
  const flags = parseOptions('data work', WorkFlags, raw);
  const store = await openPostgresStore(flags.queue);
  const folder = classifierFolder(env);
  const classifierHash = folder ? (await loadAttributeClassifier(folder)).hash : null;
  const pools = new Map<string, FaceWorkers>();
  const { captioner, questionWriter } = writers(flags, store, () => {});
  env.stderr.write('waiting for builds; Ctrl+C ends\n');
  try {
    await workOnQueue(
      flags.queue,
      (settings) => {
        const key = JSON.stringify(settings);
        const workers = pools.get(key) ?? new FaceWorkers({ settings, classifierFolder: folder }, flags.threads);
        pools.set(key, workers);
        return { store, workers, settings, classifierHash, confidence: defaultConfidence, captioner, questionWriter };
      },
      env.signal,
      (kind, count) => env.stderr.write(`${count} ${kind}\n`),
    );
  } finally {
    for (const workers of pools.values()) await workers.close();
    await store.close();
  }
}
