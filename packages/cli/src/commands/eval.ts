import { evaluateTokenizer, evaluateUnderstanding, readCelebA, type TopicScore } from '@unif2ace/lab';
import type { Command } from 'commander';
import { z } from 'zod';
import { dataFolder, dataOption } from '../data-folder.ts';
import type { Environment } from '../environment.ts';
import { CommandError } from '../errors.ts';
import { modelDocument, withModel } from '../model.ts';
import { addModelOptions, modelOptions, numberFrom, parseOptions, pathOption, seedOption } from '../options.ts';
import { writeJson } from '../output.ts';
import { StatusLine } from '../progress.ts';

const Options = z.object({
  ...modelOptions,
  data: pathOption.optional(),
  faces: numberFrom(1, 1_000_000).optional(),
  topics: z.string().optional(),
  seed: seedOption.default(0),
});

export function addEval(program: Command, env: Environment): void {
  const command = program
    .command('eval')
    .description('measure a model on test identities')
    .argument('<what>', 'tokenizer or understanding')
    .option(...dataOption)
    .option('--faces <n>', 'at most so many test faces (default: all)')
    .option('--topics <list>', 'questions to ask, separated by commas (default: all), e.g. gender,Eyeglasses')
    .option('--seed <n>', 'seed of the wording of questions', '0');
  addModelOptions(command).action((what: string, raw: Record<string, unknown>) => evaluate(env, what, raw));
}

async function evaluate(env: Environment, what: string, raw: Record<string, unknown>): Promise<void> {
  const options = parseOptions('eval', Options, raw);
  if (what !== 'tokenizer' && what !== 'understanding')
    throw new CommandError('eval', 'tokenizer or understanding', what, 'unif2ace eval understanding');
  const records = (await readCelebA(await dataFolder(env, options.data)))
    .filter(({ split }) => split === 'test')
    .slice(0, options.faces);
  const status = new StatusLine(env.stderr);
  const onProgress = (done: number) => {
    env.signal.throwIfAborted();
    status.show(`${done} of ${records.length} faces`);
  };
  await withModel(env, options, async (open) => {
    const scores =
      what === 'tokenizer'
        ? await evaluateTokenizer(open.face, records, onProgress)
        : await evaluateUnderstanding(open.face, records, {
            ...(options.topics && { topics: options.topics.split(',') }),
            seed: options.seed,
            onProgress,
          });
    status.clear();
    if (options.json) writeJson(env, { what, model: modelDocument(open), faces: records.length, scores });
    else env.stdout.write(Array.isArray(scores) ? topicTable(scores) : tokenizerText(scores));
  });
}

function tokenizerText(score: Awaited<ReturnType<typeof evaluateTokenizer>>): string {
  return [
    `faces of test identities  ${score.faces}`,
    `PSNR, mean over faces     ${score.meanPsnrDb.toFixed(2)} dB`,
    `PSNR of the mean error    ${score.psnrOfMeanErrorDb.toFixed(2)} dB`,
    `codes used                ${score.codesUsed.join(' and ')} of ${score.codes}`,
    '',
  ].join('\n');
}

function topicTable(scores: readonly TopicScore[]): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`.padStart(9);
  const rows = scores.map(
    (s) =>
      `${s.topic.padEnd(20)}${String(s.asked).padStart(7)}${percent(s.accuracy)}${percent(s.majority)}${percent(s.balancedAccuracy)}${String(s.unreadable).padStart(12)}`,
  );
  const mean = scores.reduce((sum, s) => sum + s.balancedAccuracy, 0) / scores.length;
  return [
    `${'topic'.padEnd(20)}${'asked'.padStart(7)}${'right'.padStart(9)}${'majority'.padStart(9)}${'balanced'.padStart(9)}${'unreadable'.padStart(12)}`,
    ...rows,
    `mean balanced accuracy ${(100 * mean).toFixed(1)} %`,
    '',
  ].join('\n');
}
