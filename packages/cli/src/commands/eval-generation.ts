import { join, resolve } from 'node:path';
import { encodePng, generationText, imageGrid, type LoadedModel, type PixelImage } from '@unif2ace/core';
import { type LoadedAttributeClassifier, loadAttributeClassifier } from '@unif2ace/core/node';
import {
  evaluateGeneration,
  type FrechetReport,
  type GenerationReport,
  type GenerationResult,
  Judge,
  readCelebA,
} from '@unif2ace/lab';
import type { Command } from 'commander';
import { z } from 'zod';
import { dataFolder, dataOption } from '../data-folder.ts';
import type { Environment } from '../environment.ts';
import { CommandError } from '../errors.ts';
import { modelDocument, type OpenModel, withModel } from '../model.ts';
import { addModelOptions, modelOptions, numberFrom, parseOptions, pathOption, seedOption } from '../options.ts';
import { enlarge, planFolder, writeJson, writeOutput } from '../output.ts';
import { StatusLine } from '../progress.ts';
import { candidatesOption, guidanceHelp, samplingOptions } from '../sampling.ts';
import { splitFlag, splitOption } from '../test-faces.ts';

const { steps, guidance, temperature, candidates } = samplingOptions;
const Options = z.object({
  ...modelOptions,
  data: pathOption.optional(),
  faces: numberFrom(2, 100_000),
  judge: pathOption.optional(),
  out: pathOption,
  seed: seedOption,
  split: splitOption,
  steps,
  guidance,
  temperature,
  candidates,
});

export function addEvalGeneration(group: Command, env: Environment): void {
  const command = group
    .command('generation')
    .description('judge generated faces: prompted attributes, Fréchet distance, nearest training faces')
    .option(...dataOption)
    .option('--faces <n>', 'faces to make from captions of test faces; as many again for the attributes', '1000')
    .option('--judge <folder>', 'attribute classifier that the model was not trained with (default: the bundled one)')
    .option('--out <folder>', 'folder of the pictures', 'out/eval-generation')
    .option('--seed <n>', 'seed of prompts and faces', '1')
    .option(...splitFlag)
    .option('--steps <number>', 'denoising steps', '12')
    .option('--guidance <number>', guidanceHelp)
    .option('--temperature <number>', 'variety; 0 is the most probable face', '1')
    .option(...candidatesOption);
  addModelOptions(command).action((raw: Record<string, unknown>) => evaluate(env, raw));
}

async function evaluate(env: Environment, raw: Record<string, unknown>): Promise<void> {
  const options = parseOptions('eval generation', Options, raw);
  const out = await planFolder(env, options.out);
  const judgeFolder = options.judge ? resolve(env.cwd, options.judge) : join(env.root, 'weights', 'judge');
  const loadedJudge = await loadAttributeClassifier(judgeFolder);
  const records = await readCelebA(await dataFolder(env, options.data));
  const compared = records.filter(({ split }) => split === options.split);
  const train = records.filter(({ split }) => split === 'train');
  if (train.length < options.faces)
    throw new CommandError(
      '--faces',
      `at most as many as there are training faces (${train.length})`,
      String(options.faces),
      `--faces ${Math.max(2, train.length)}`,
    );
  const status = new StatusLine(env.stderr);
  await withModel(env, options, async (open) => {
    refuseOwnEncoder(open.loaded, loadedJudge, judgeFolder);
    const judge = await Judge.open(loadedJudge, open.runtime);
    const { faces, seed, steps, temperature, candidates, guidance = open.face.config.guidance } = options;
    const settings = { steps, guidance, temperature, candidates };
    const startMs = performance.now();
    const result = await evaluateGeneration(
      open.face,
      judge,
      { test: compared, train },
      {
        faces,
        seed,
        ...settings,
        // t2i, sot and eot take three of the promptTokens + 1 places
        fits: (prompt) => open.loaded.tokenizer.encode(prompt).length <= open.loaded.config.promptTokens - 2,
        signal: env.signal,
        onProgress: (what, done, total) => {
          env.signal.throwIfAborted();
          status.show(`${what}: ${done} of ${total}`);
        },
      },
    ).finally(() => judge.close());
    status.clear();
    const pictures = await writePictures(out, open, result, seed, settings);
    const seconds = Math.round((performance.now() - startMs) / 1000);
    const { report } = result;
    if (options.json)
      writeJson(env, {
        what: 'generation',
        model: modelDocument(open),
        judge: { name: judge.config.name, hash: judge.hash },
        split: options.split,
        settings: { seed, ...settings },
        seconds,
        scores: report,
        pictures,
      });
    else env.stdout.write([...attributeLines(report), ...distanceLines(report), ...pictures, ''].join('\n'));
  });
}

/** @throws CommandError for a judge whose network is the model's own face encoder. */
function refuseOwnEncoder(model: LoadedModel, judge: LoadedAttributeClassifier, folder: string): void {
  const [own, judging] = [model.weights.get('face_encoder.stem.weight'), judge.weights.get('encoder.stem.weight')];
  if (own && judging && own.length === judging.length && own.every((value, i) => value === judging[i]))
    throw new CommandError(
      '--judge',
      'a classifier that the model was not trained with',
      `${folder}, whose encoder the model carries`,
      'the bundled judge',
    );
}

const shownScale = 2;

/** Samples, marked as generated, and the nearest pairs, which show photos of the data set as well. */
async function writePictures(
  out: string,
  { face }: OpenModel,
  { samples, nearestPairs }: GenerationResult,
  seed: number,
  settings: Readonly<Record<'steps' | 'guidance' | 'temperature' | 'candidates', number>>,
): Promise<string[]> {
  const record = generationText({ prompt: 'captions of test faces', seed, settings, modelHash: face.hash });
  const grid = (images: readonly PixelImage[], columns: number) =>
    imageGrid(
      images.map((image) => enlarge(image, shownScale)),
      { columns },
    );
  const pairs = [...nearestPairs.features, ...nearestPairs.pixels].flatMap(({ generated, training }) => [
    generated,
    training,
  ]);
  const notes = [
    {
      keyword: 'Comment',
      text: 'Pairs: a generated face, then the training photo nearest to it; upper half by features of the judge, lower half by pixels. Contains photos of the data set: do not publish.',
    },
  ];
  const files = [
    { path: join(out, 'samples.png'), bytes: encodePng(grid(samples, 8), record) },
    { path: join(out, 'nearest.png'), bytes: encodePng(grid(pairs, 8), notes) },
  ];
  for (const { path, bytes } of files) await writeOutput(path, bytes);
  return files.map(({ path }) => path);
}

const three = (value: number | null) => (value === null ? '–' : value.toFixed(3)).padStart(9);

function attributeLines(report: GenerationReport): string[] {
  const between = (interval: { low: number; high: number } | null) =>
    (interval ? `${interval.low.toFixed(2)}–${interval.high.toFixed(2)}` : '–').padStart(12);
  const row = ({ attribute, areaUnderRoc, interval, inCaptions, photos }: GenerationReport['attributes'][number]) =>
    `${attribute.padEnd(18)}${three(areaUnderRoc)}${between(interval)}${three(inCaptions)}${three(photos)}`;
  return [
    `prompted attribute, area under the ROC curve of the judge, ${report.pairs} + ${report.pairs} faces each`,
    `${'attribute'.padEnd(18)}${'prompted'.padStart(9)}${'95 %'.padStart(12)}${'captions'.padStart(9)}${'photos'.padStart(9)}`,
    ...report.attributes.map(row),
    `${'mean'.padEnd(18)}${three(report.meanAreaUnderRoc)}${between(report.meanInterval)}`,
    '',
  ];
}

function distanceLines({ frechet, kernel, nearest, faces, testFaces }: GenerationReport): string[] {
  const range = ({ floor }: FrechetReport) => `${floor.lowest.toFixed(2)}–${floor.highest.toFixed(2)}`;
  const near = (name: string, { generated, test, nearerThanOnePercent, interval }: typeof nearest.pixels) =>
    `${name.padEnd(10)} median ${generated.median.toFixed(2)} (test photos ${test.median.toFixed(2)}), nearest ${generated.minimum.toFixed(2)} (${test.minimum.toFixed(2)}); nearer than the nearest 1 % of test photos: ${percent(nearerThanOnePercent)} (95 %: ${percent(interval.low)}–${percent(interval.high)})`;
  return [
    `Fréchet distance to ${testFaces} test faces   ${frechet.generated.toFixed(2)} (${faces} generated)`,
    `  floor, ${faces} training faces         ${frechet.floor.mean.toFixed(2)} (${range(frechet)} in ${frechet.floor.draws} draws)`,
    `  ratio                            ${frechet.ratio.toFixed(2)}`,
    `  tokenizer alone                  ${frechet.reconstructed.toFixed(2)}`,
    `kernel distance                    ${kernel.generated.mean.toExponential(2)} ± ${kernel.generated.std.toExponential(1)} (floor ${kernel.floor.mean.toExponential(2)})`,
    '',
    'distance to the nearest training face, mirrored ones included',
    near('features', nearest.features),
    near('pixels', nearest.pixels),
    '',
  ];
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
