import { parentPort, workerData } from 'node:worker_threads';
import { type AttributeRecipe, trainAttributes } from '../attributes/train-attributes.ts';
import { describeError } from './describe-error.ts';
import type { TrainEvent } from './events.ts';
import type { Recipe } from './recipe.ts';
import { runRecipe } from './run-recipe.ts';
import type { WorkerMessage, WorkerRun } from './train-in-worker.ts';

// Entry of the training thread: runs one recipe and reports.

const { recipeUrl, options } = workerData as WorkerRun;
const stop = new AbortController();
parentPort!.on('message', () => stop.abort());
const send = (message: WorkerMessage) => parentPort!.postMessage(message);

const recipe = ((await import(recipeUrl)) as { default: Recipe | AttributeRecipe }).default;
const run = { ...options, signal: stop.signal, onEvent: (event: TrainEvent) => send({ kind: 'event', event }) };
const figures = async (): Promise<Record<string, number>> => {
  if (recipe.kind === 'attributes') {
    const { meanAreaUnderRoc, meanCalibrationError } = await trainAttributes(recipe, run);
    return { meanAreaUnderRoc, meanCalibrationError };
  }
  await runRecipe(recipe, run);
  return {};
};
await figures().then(
  (scores) => send({ kind: 'done', recipeKind: recipe.kind, scores }),
  (error) => send({ kind: 'failed', message: describeError(error) }),
);
parentPort!.close();
