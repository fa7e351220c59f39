import { parentPort, workerData } from 'node:worker_threads';
import { describeError } from './describe-error.ts';
import type { Recipe } from './recipe.ts';
import { runRecipe } from './run-recipe.ts';
import type { WorkerMessage, WorkerRun } from './train-in-worker.ts';

// Entry of the training thread: runs one recipe and reports.

const { recipeUrl, options } = workerData as WorkerRun;
const stop = new AbortController();
parentPort!.on('message', () => stop.abort());
const send = (message: WorkerMessage) => parentPort!.postMessage(message);

const recipe = ((await import(recipeUrl)) as { default: Recipe }).default;
await runRecipe(recipe, { ...options, signal: stop.signal, onEvent: (event) => send({ kind: 'event', event }) }).then(
  () => send({ kind: 'done' }),
  (error) => send({ kind: 'failed', message: describeError(error) }),
);
parentPort!.close();
