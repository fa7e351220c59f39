import {
  type AttributeAnswers,
  attributeAnswers,
  celebaTopics,
  evaluateUnderstanding,
  type TopicScore,
} from '@unif2ace/lab';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { modelDocument, withModel } from '../model.ts';
import { addModelOptions, modelOptions, parseOptions, seedOption } from '../options.ts';
import { writeJson } from '../output.ts';
import { StatusLine } from '../progress.ts';
import { addTestFaceOptions, testFaceOptions, testFaces } from '../test-faces.ts';

const Options = z.object({
  ...modelOptions,
  ...testFaceOptions,
  topics: z.string().default('attributes'),
  seed: seedOption.default(0),
});

export function addEvalUnderstanding(group: Command, env: Environment): void {
  const command = group
    .command('understanding')
    .description("ask about CelebA's attributes and compare with the labels")
    .option(
      '--topics <list>',
      "questions to ask, separated by commas, e.g. gender,Eyeglasses; attributes: one for each of CelebA's; all: every one",
      'attributes',
    )
    .option('--seed <n>', 'seed of the wording of questions', '0');
  addModelOptions(addTestFaceOptions(command)).action((raw: Record<string, unknown>) => evaluate(env, raw));
}

async function evaluate(env: Environment, raw: Record<string, unknown>): Promise<void> {
  const options = parseOptions('eval understanding', Options, raw);
  const records = await testFaces(env, options);
  const status = new StatusLine(env.stderr);
  const wanted = options.topics === 'attributes' ? Object.values(celebaTopics) : options.topics.split(',');
  await withModel(env, options, async (open) => {
    const scores = await evaluateUnderstanding(open.face, records, {
      ...(options.topics !== 'all' && { topics: wanted }),
      seed: options.seed,
      onProgress: (done) => {
        env.signal.throwIfAborted();
        status.show(`${done} of ${records.length} faces`);
      },
    });
    status.clear();
    const attributes = attributeAnswers(scores);
    if (options.json)
      writeJson(env, {
        what: 'understanding',
        model: modelDocument(open),
        split: options.split,
        faces: records.length,
        scores,
        attributes,
      });
    else env.stdout.write(`${topicTable(scores)}${attributeText(attributes)}`);
  });
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

function topicTable(scores: readonly TopicScore[]): string {
  const right = (text: string, width: number) => text.padStart(width);
  const rows = scores.map(
    (s) =>
      `${s.topic.padEnd(20)}${right(String(s.asked), 7)}${right(percent(s.accuracy), 9)}${right(percent(s.majority), 9)}${right(percent(s.balancedAccuracy), 9)}${right(`${percent(s.interval.low)}–${percent(s.interval.high)}`, 17)}${right(String(s.unreadable), 12)}`,
  );
  return [
    `${'topic'.padEnd(20)}${right('asked', 7)}${right('right', 9)}${right('majority', 9)}${right('balanced', 9)}${right('95 %', 17)}${right('unreadable', 12)}`,
    ...rows,
    '',
  ].join('\n');
}

function attributeText({ asked, meanBalancedAccuracy, single, missing }: AttributeAnswers): string {
  if (meanBalancedAccuracy === null) return '';
  return [
    `mean balanced accuracy over ${asked} of CelebA's attributes  ${percent(meanBalancedAccuracy)}`,
    ...Object.entries(single).map(([name, value]) => `  ${name.padEnd(12)} ${value === null ? '–' : percent(value)}`),
    ...(missing.length > 0 ? [`not asked, or all faces alike: ${missing.join(', ')}`] : []),
    '',
  ].join('\n');
}
