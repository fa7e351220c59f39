import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { FaceCnnConfig } from '@unif2ace/core';
import type { TensorValue, TensorValues } from '@unif2ace/graph';
import { type Augmentation, augmentedPixels } from '../attributes/augment.ts';
import { type FaceRecord, readCelebA } from '../data/celeba.ts';
import { Checkpoints } from '../training/checkpoints.ts';
import { TrainError } from '../training/events.ts';
import type { Faces } from '../training/face-batches.ts';
import { exampleRandom, FaceOrder } from '../training/face-order.ts';
import { type LoopSettings, trainLoop } from '../training/loop.ts';
import type { RunOptions } from '../training/run-recipe.ts';
import type { TrainGraph } from '../training/train-graph.ts';

/** What the recipes of frozen encoders share. */
export interface EncoderRecipe {
  name: string;
  seed: number;
  encoder: FaceCnnConfig;
  training: LoopSettings & { batch: number };
  augmentation: Augmentation;
  /** Terms of the trained weights. */
  terms: string;
}

/** Faces of training and test identities. @throws DataError, TrainError when there are none of one. */
export async function facesOfBothSplits(dataFolder: string): Promise<{ train: FaceRecord[]; test: FaceRecord[] }> {
  const records = await readCelebA(dataFolder);
  const of = (split: FaceRecord['split']) => records.filter((record) => record.split === split);
  const [train, test] = [of('train'), of('test')];
  for (const [name, part] of Object.entries({ train, test }))
    if (part.length === 0)
      throw new TrainError(`train: expected ${name} identities in ${dataFolder}, got none; try more faces`);
  return { train, test };
}

/** Trains on augmented faces with checkpoints in the run's folder, which are gone when all is done. */
export async function runEncoder(
  recipe: EncoderRecipe,
  options: RunOptions,
  graph: TrainGraph,
  { faces, count }: { faces: Faces; count: number },
  parts: {
    metrics: (outputs: Record<string, Float32Array>) => Record<string, number>;
    /** What the graph wants beside pixels; `place` names each example. */
    feeds: (chosen: readonly number[], place: number) => TensorValues;
  },
): Promise<void> {
  const { seed, encoder, training, augmentation } = recipe;
  const { batch } = training;
  const order = new FaceOrder(
    Array.from({ length: count }, (_, face) => face),
    seed,
    1,
  );
  const folder = join(options.out, 'checkpoints');
  if (!options.resume) await rm(folder, { recursive: true, force: true });
  await trainLoop({
    stage: recipe.name,
    onEvent: options.onEvent,
    ...(options.signal && { signal: options.signal }),
    graph,
    settings: training,
    checkpoints: new Checkpoints(folder, {
      layout: { seed, training, encoder },
      onLog: (text) => options.onEvent({ kind: 'log', text }),
    }),
    tokensPerStep: batch,
    metrics: parts.metrics,
    batch: ({ step }) => {
      const chosen = order.slice(step * batch, batch);
      const randoms = chosen.map((_, i) => exampleRandom(seed, 1, step * batch + i));
      const pixels: TensorValue = augmentedPixels(faces, chosen, encoder.imageSize, augmentation, randoms);
      return { pixels, ...parts.feeds(chosen, step * batch) };
    },
  });
  await graph.release();
}
