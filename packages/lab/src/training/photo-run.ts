import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Runtime, TensorValues } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { type Augmentation, augmentedPixels, mixRows, mixupShares } from '../attributes/augment.ts';
import { type FaceRecord, readCelebA, type Split } from '../data/celeba.ts';
import { Checkpoints } from './checkpoints.ts';
import { type Collective, single } from './collective/collective.ts';
import { TrainError } from './events.ts';
import type { Faces } from './face-batches.ts';
import { exampleRandom, FaceOrder } from './face-order.ts';
import { type LoopSettings, trainLoop } from './loop.ts';
import { monitored } from './monitor/run-monitor.ts';
import type { RunOptions } from './run-recipe.ts';
import { partOf } from './stage.ts';
import type { TrainGraph } from './train-graph.ts';

// Training of one network on photos, as the attribute classifier and the frozen encoders have it.

export interface PhotoRecipe {
  seed: number;
  training: LoopSettings & { batch: number };
  augmentation: Augmentation;
}

/** A run as one of its ranks sees it: rank 0 alone writes and sends events. */
export interface PhotoRun extends RunOptions {
  collective: Collective;
  runtime: Runtime;
  isRoot: boolean;
}

/** Runs work with its events kept in the run's folder. */
export function photoRun<T>(options: RunOptions, work: (run: PhotoRun) => Promise<T>): Promise<T> {
  const { collective = single, runtime = directRuntime() } = options;
  const isRoot = collective.rank === 0;
  return monitored({ ...options, folder: options.out }, (onEvent) =>
    work({ ...options, collective, runtime, isRoot, onEvent: isRoot ? onEvent : () => {} }),
  );
}

/** Faces of each split. @throws DataError, TrainError when there are none of one. */
export async function facesOf<S extends Split>(
  dataFolder: string,
  splits: readonly S[],
): Promise<Record<S, FaceRecord[]>> {
  const records = await readCelebA(dataFolder);
  const parts = Object.fromEntries(
    splits.map((split) => [split, records.filter((record) => record.split === split)]),
  ) as Record<S, FaceRecord[]>;
  for (const split of splits)
    if (parts[split].length === 0)
      throw new TrainError(`train: expected ${split} identities in ${dataFolder}, got none; try more faces`);
  return parts;
}

/** Photos of one part of a step's batch, of one rank: what a graph is built for. */
export function photosOfPart({ training }: PhotoRecipe, { collective }: PhotoRun): number {
  return partOf(training.batch, training, collective.size, 'training.batch');
}

export interface PhotoTraining {
  stage: string;
  /** Edge of the network's input in pixels. */
  imageSize: number;
  faces: Faces;
  count: number;
  /** What a checkpoint must have in common with the run. */
  layout: unknown;
  metrics?: (outputs: Record<string, Float32Array>) => Record<string, number>;
  /** α of mixup, which mixes the photos and with them what `feeds` gives; 0 by default. */
  mixup?: number;
  /** What the graph wants beside `pixels`; example i of the batch is at place `first + i` of the run. */
  feeds: (chosen: readonly number[], first: number) => TensorValues;
}

/** Trains a graph on augmented photos to the last step; checkpoints stay until `dropCheckpoints`. */
export async function trainOnPhotos(
  recipe: PhotoRecipe,
  run: PhotoRun,
  graph: TrainGraph,
  { stage, imageSize, faces, count, layout, metrics = () => ({}), mixup = 0, feeds }: PhotoTraining,
): Promise<void> {
  const { seed, training, augmentation } = recipe;
  const batch = photosOfPart(recipe, run);
  const order = new FaceOrder(
    Array.from({ length: count }, (_, face) => face),
    seed,
    1,
  );
  if (run.isRoot && !run.resume) await dropCheckpoints(run);
  await trainLoop({
    stage,
    onEvent: run.onEvent,
    collective: run.collective,
    ...(run.peakFlopsPerSecond && { peakFlopsPerSecond: run.peakFlopsPerSecond }),
    ...(run.signal && { signal: run.signal }),
    graph,
    settings: training,
    checkpoints: new Checkpoints(checkpointsOf(run), {
      layout,
      onLog: (text) => run.onEvent({ kind: 'log', text }),
    }),
    tokensPerStep: training.batch,
    metrics,
    batch: ({ step, part, parts }) => {
      const first = (step * parts + part) * batch;
      const chosen = order.slice(first, batch);
      const randoms = chosen.map((_, i) => exampleRandom(seed, 1, first + i));
      const pixels = augmentedPixels(faces, chosen, imageSize, augmentation, randoms);
      const plain: TensorValues = { pixels, ...feeds(chosen, first) };
      if (mixup === 0) return plain;
      const shares = mixupShares(mixup, randoms);
      return Object.fromEntries(Object.entries(plain).map(([name, rows]) => [name, mixRows(rows, shares)]));
    },
  });
  await graph.release();
}

const checkpointsOf = ({ out }: PhotoRun) => join(out, 'checkpoints');

/** Once the result is written. */
export function dropCheckpoints(run: PhotoRun): Promise<void> {
  return rm(checkpointsOf(run), { recursive: true, force: true });
}
