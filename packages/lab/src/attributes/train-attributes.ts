import { type AttributeClassifierConfig, attributeLogits } from '@unif2ace/core';
import { saveAttributeClassifier } from '@unif2ace/core/node';
import { FlatState, float32, input, ParamScope, type Runtime } from '@unif2ace/graph';
import { type FaceRecord, loadFaces } from '../data/celeba.ts';
import { type Attributes, attributeNames, type CelebaName } from '../data/grammar/attributes.ts';
import { type AttributeScore, attributeOutputs, evaluateAttributes } from '../evaluation/attributes.ts';
import { plattScaling } from '../evaluation/ranking.ts';
import { binaryCrossEntropy } from '../training/binary-cross-entropy.ts';
import {
  dropCheckpoints,
  facesOf,
  type PhotoRecipe,
  type PhotoRun,
  photoRun,
  photosOfPart,
  trainOnPhotos,
} from '../training/photo-run.ts';
import type { RunOptions } from '../training/run-recipe.ts';
import { TrainGraph } from '../training/train-graph.ts';

/** Training of the attribute classifier on CelebA's training identities. */
export interface AttributeRecipe extends PhotoRecipe {
  kind: 'attributes';
  name: string;
  config: AttributeClassifierConfig;
  /** α of mixup; 0 by default. */
  mixup?: number;
}

/**
 * Trains, calibrates on the validation identities (Platt, folded into the head) and measures on the test identities, then
 * writes the classifier to `out`. @throws DataError, TrainError
 */
export async function trainAttributes(recipe: AttributeRecipe, options: RunOptions): Promise<AttributeScore> {
  return photoRun(options, (run) => trainAndScore(recipe, run));
}

async function trainAndScore(recipe: AttributeRecipe, run: PhotoRun): Promise<AttributeScore> {
  const { config, augmentation, seed, training: settings } = recipe;
  const { runtime, onEvent } = run;
  const { train, validation, test } = await facesOf(run.dataFolder, ['train', 'validation', 'test']);
  const loadedSize = config.encoder.imageSize + 2 * augmentation.shiftPixels;
  onEvent({ kind: 'stage', name: 'data', detail: `${train.length} faces of training identities` });
  const faces = { size: loadedSize, data: await loadFaces(train, loadedSize) };

  const batch = photosOfPart(recipe, run);
  const root = new ParamScope();
  const { imageSize } = config.encoder;
  const logits = attributeLogits(root, config, input('pixels', [batch, 3, imageSize, imageSize]));
  const loss = binaryCrossEntropy(logits, input('labels', [batch, config.attributes.length]));
  const state = new FlatState(root.specs()).initialize(seed);
  const graph = await TrainGraph.compile(loss, {}, root, state, { runtime });
  await trainOnPhotos(recipe, run, graph, {
    stage: 'attributes',
    imageSize,
    faces,
    count: train.length,
    layout: { seed, settings, config, mixup: recipe.mixup },
    ...(recipe.mixup !== undefined && { mixup: recipe.mixup }),
    feeds: (chosen) => {
      const truth = chosen.flatMap((face) => labelsOf(train[face]!.attributes, config));
      return { labels: float32(Float32Array.from(truth), [batch, config.attributes.length]) };
    },
  });

  const weights = new Map(state.specs.map((spec) => [spec.name, Float32Array.from(state.param(spec.name))]));
  await calibrate(config, weights, validation, runtime);
  const score = await evaluateAttributes(config, weights, { faces: test, others: train }, runtime);
  if (!run.isRoot) return score;
  await saveAttributeClassifier(run.out, config, weights);
  await dropCheckpoints(run);
  onEvent({ kind: 'stage', name: 'done', detail: run.out });
  return score;
}

function labelsOf(attributes: Attributes, config: AttributeClassifierConfig): number[] {
  return config.attributes.map((name) => Number(attributes[name as CelebaName]));
}

/** Folds Platt's slope and offset of each attribute into the head. */
async function calibrate(
  config: AttributeClassifierConfig,
  weights: Map<string, Float32Array>,
  validation: readonly FaceRecord[],
  runtime: Runtime,
): Promise<void> {
  const logits = await attributeOutputs(config, weights, validation, runtime, 'logits');
  const [weight, bias] = [weights.get('head.weight')!, weights.get('head.bias')!];
  const { width } = config.encoder;
  config.attributes.forEach((name, a) => {
    const truth = validation.map(({ attributes }) => attributes[name as CelebaName]);
    const { slope, offset } = plattScaling(
      logits.map((row) => row[a]!),
      truth,
    );
    // few examples could turn the sign round; the ranking is the network's
    const kept = Math.max(0.1, slope);
    for (let i = a * width; i < (a + 1) * width; i++) weight[i]! *= kept;
    bias[a] = kept * bias[a]! + offset;
  });
}

/** CelebA's labels that may be put into words. */
export const classifiedAttributes = attributeNames.filter((name) => name !== 'Attractive' && name !== 'Pale_Skin');
