import { join, resolve } from 'node:path';
import { loadAttributeClassifier } from '@unif2ace/core/node';
import { type AttributeScore, evaluateAttributes } from '@unif2ace/lab';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { CommandError } from '../errors.ts';
import { addJsonOption, jsonOption, parseOptions, pathOption } from '../options.ts';
import { writeJson } from '../output.ts';
import { StatusLine } from '../progress.ts';
import { addTestFaceOptions, testAndTrainingFaces, testFaceOptions } from '../test-faces.ts';

const Options = z.object({ json: jsonOption, model: pathOption.optional(), ...testFaceOptions });

export function addEvalAttributes(group: Command, env: Environment): void {
  const command = group
    .command('attributes')
    .description("an attribute classifier against CelebA's labels: ranking, calibration, balanced accuracy")
    .option('--model <folder>', 'the classifier (default: the bundled one)');
  addJsonOption(addTestFaceOptions(command)).action((raw: Record<string, unknown>) => evaluate(env, raw));
}

async function evaluate(env: Environment, raw: Record<string, unknown>): Promise<void> {
  const options = parseOptions('eval attributes', Options, raw);
  const model = options.model ? resolve(env.cwd, options.model) : join(env.root, 'weights', 'attributes');
  const { config, weights, hash } = await loadAttributeClassifier(model);
  const { test: faces, train: others, folder } = await testAndTrainingFaces(env, options);
  if (others.length === 0)
    throw new CommandError('--data', 'faces of training identities too', `none in ${folder}`, 'the whole data set');
  const status = new StatusLine(env.stderr);
  const { runtime } = await env.openRuntime('auto');
  try {
    const scores = await evaluateAttributes(config, weights, { faces, others }, runtime, (done) => {
      env.signal.throwIfAborted();
      status.show(`${done} of ${faces.length} faces`);
    });
    status.clear();
    if (options.json)
      writeJson(env, { what: 'attributes', model: { name: config.name, hash }, split: options.split, scores });
    else env.stdout.write(attributeText(scores));
  } finally {
    await runtime.close();
  }
}

function attributeText(score: AttributeScore): string {
  const figure = (value: number | null) => (value === null ? '–' : value.toFixed(3)).padStart(8);
  const percent = (value: number | null) => (value === null ? '–' : `${(100 * value).toFixed(1)} %`).padStart(9);
  const row = (name: string, ...cells: string[]) => `${name.padEnd(22)}${cells.join('')}`;
  const heads = [
    ...['AUC', 'ECE'].map((head) => head.padStart(8)),
    ...['at ½', 'at freq.', 'share'].map((h) => h.padStart(9)),
  ];
  return [
    `faces of test identities  ${score.faces}`,
    row('attribute', ...heads),
    ...Object.entries(score.attributes).map(([name, of]) =>
      row(
        name,
        figure(of.areaUnderRoc),
        figure(of.calibrationError),
        percent(of.balancedAtHalf),
        percent(of.balancedAtFrequency),
        percent(of.share),
      ),
    ),
    row(
      'mean',
      figure(score.meanAreaUnderRoc),
      figure(score.meanCalibrationError),
      percent(score.meanBalancedAtHalf),
      percent(score.meanBalancedAtFrequency),
    ),
    'AUC: area under the ROC curve; ECE: calibration error; then balanced accuracy, present from a probability of ½, or of',
    'the frequency among training identities; share: of these faces that have the attribute',
    '',
  ].join('\n');
}
