import { basename, extname, resolve } from 'node:path';
import { writeFileAtomic } from '@unif2ace/core/node';
import {
  collectStats,
  openDataset,
  ReadBack,
  type ReadBackFigures,
  readCelebA,
  reviewServer,
  statsHtml,
  statsText,
  validateRecord,
} from '@unif2ace/lab';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { ItemsFailed } from '../errors.ts';
import { addJsonOption, jsonOption, numberFrom, parseOptions, pathOption, seedOption } from '../options.ts';
import { writeJson } from '../output.ts';
import { StatusLine } from '../progress.ts';

const StatsFlags = z.object({ json: jsonOption, html: pathOption.optional() });
const ValidateFlags = z.object({ json: jsonOption, labels: pathOption.optional() });
const ReviewFlags = z.object({
  port: numberFrom(0, 65_535).default(4870),
  raters: numberFrom(1, 100).default(2),
  items: numberFrom(1, 1_000_000).optional(),
  seed: seedOption.default(0),
  ratings: pathOption.optional(),
});

/** The commands that look at a finished data set. */
export function addDataLook(data: Command, env: Environment): void {
  const stats = data
    .command('stats')
    .description('figures of a data set, as the paper gives them')
    .argument('<folder>', 'a data set')
    .option('--html <file>', 'also a report with figures, as one file');
  addJsonOption(stats).action((folder: string, raw: Record<string, unknown>) => showStats(env, folder, raw));
  const validate = data
    .command('validate')
    .description('read every caption and question back and check it against the facts')
    .argument('<folder>', 'a data set')
    .option('--labels <folder>', "check captions against the labels of a folder in CelebA's layout as well");
  addJsonOption(validate).action((folder: string, raw: Record<string, unknown>) => checkAll(env, folder, raw));
  data
    .command('review')
    .description('a page where people rate captions against photos, on this machine')
    .argument('<folder>', 'a data set')
    .option('--port <n>', 'port; 0 takes a free one', '4870')
    .option('--raters <n>', 'ratings an item is to get, each by another rater', '2')
    .option('--items <n>', 'at most so many items a rater (default: all)')
    .option('--ratings <folder>', 'folder of the ratings (default: <folder>.ratings)')
    .option('--seed <n>', 'order of the items', '0')
    .action((folder: string, raw: Record<string, unknown>) => review(env, folder, raw));
}

async function showStats(env: Environment, folder: string, raw: Record<string, unknown>): Promise<void> {
  const flags = parseOptions('data stats', StatsFlags, raw);
  const dataset = await openDataset(resolve(env.cwd, folder));
  const stats = await collectStats(dataset.records(), { rejections: await dataset.rejections() });
  if (flags.html) await writeFileAtomic(resolve(env.cwd, flags.html), await statsHtml(stats, folder));
  if (flags.json) writeJson(env, stats);
  else env.stdout.write(statsText(stats, folder));
}

async function checkAll(env: Environment, folder: string, raw: Record<string, unknown>): Promise<void> {
  const flags = parseOptions('data validate', ValidateFlags, raw);
  const dataset = await openDataset(resolve(env.cwd, folder));
  const labels = flags.labels
    ? new Map((await readCelebA(resolve(env.cwd, flags.labels))).map(({ id, attributes }) => [id, attributes]))
    : null;
  const status = new StatusLine(env.stderr);
  const faults: { id: string; fault: string }[] = [];
  const readBack = new ReadBack();
  let done = 0;
  for await (const record of dataset.records()) {
    env.signal.throwIfAborted();
    const own = labels?.get(basename(record.name, extname(record.name)));
    const untrue = labels && !own ? [] : readBack.add(record, own);
    if (labels && !own) readBack.skip();
    for (const fault of [...validateRecord(record).faults, ...untrue]) faults.push({ id: record.id, fault });
    status.show(`${++done} of ${dataset.count} faces`);
  }
  status.clear();
  const figures = readBack.figures();
  if (flags.json) writeJson(env, { faces: dataset.count, faults, readBack: figures });
  else
    env.stdout.write(
      [
        ...faults.map(({ id, fault }) => `${id}: ${fault}`),
        `${dataset.count} faces, ${faults.length} faults`,
        ...readBackLines(figures, flags.labels ? 'labels' : 'facts'),
        '',
      ].join('\n'),
    );
  if (faults.length > 0)
    throw new ItemsFailed(faults.length, `data validate: ${faults.length} texts must not be there`);
}

function readBackLines(
  { statements, borneOut, precision, stated, recovered, recall, unlabelled }: ReadBackFigures,
  against: string,
): string[] {
  const count = (value: number) => value.toLocaleString('en-US');
  return [
    `label-derived statements borne out by the ${against}: ${count(borneOut)} of ${count(statements)}, precision ${precision?.toFixed(6) ?? '–'}`,
    `attributes stated in new captions and read back: ${count(recovered)} of ${count(stated)}, ${recall === null ? '–' : `${(100 * recall).toFixed(3)} %`}`,
    ...(unlabelled > 0 ? [`faces without a label in that folder: ${count(unlabelled)}`] : []),
  ];
}

async function review(env: Environment, folder: string, raw: Record<string, unknown>): Promise<void> {
  const flags = parseOptions('data review', ReviewFlags, raw);
  const path = resolve(env.cwd, folder);
  const ratings = flags.ratings ? resolve(env.cwd, flags.ratings) : `${path}.ratings`;
  const server = await reviewServer({
    records: await openDataset(path),
    store: ratings,
    port: flags.port,
    ratersPerItem: flags.raters,
    seed: flags.seed,
    onNotice: (line) => env.stderr.write(`${line}\n`),
    ...(flags.items && { itemsPerRater: flags.items }),
  });
  env.stdout.write(`${server.url}\nratings are kept in ${ratings}; Ctrl+C ends\n`);
  await new Promise<void>((end) => {
    if (env.signal.aborted) end();
    env.signal.addEventListener('abort', () => end(), { once: true });
  });
  await server.close();
}
