import { writeSync } from 'node:fs';
import { startWorker } from '@unif2ace/graph/node';
import type { AnyRecipe } from './any-recipe.ts';
import { launchedRank } from './collective/launch.ts';
import { type OnTrainEvent, TrainError, type TrainEvent } from './events.ts';
import type { RunOptions } from './run-recipe.ts';

export interface WorkerRun {
  /** Module whose default export is the recipe. */
  recipeUrl: string;
  options: Omit<RunOptions, 'onEvent' | 'signal' | 'runtime'>;
}

export interface TrainResult {
  recipeKind: AnyRecipe['kind'];
  /** Figures on test identities, where the recipe measures some. */
  scores: Record<string, number>;
}

export type WorkerMessage =
  | { kind: 'event'; event: TrainEvent }
  | ({ kind: 'done' } & TrainResult)
  | { kind: 'failed'; message: string };

/**
 * Trains a recipe in a thread of its own, so that progress, signals and other work go on meanwhile. An abort ends the run
 * after the current step; a rank of a job says so at once, for its step may wait for a rank that is no more. @throws TrainError with the thread's message.
 */
export function trainInWorker(run: WorkerRun, onEvent: OnTrainEvent, signal?: AbortSignal): Promise<TrainResult> {
  const worker = startWorker('train-worker', import.meta.url, run);
  const rank = launchedRank() ?? Number.POSITIVE_INFINITY;
  const stop = () => {
    // two of the ranks, in case one is the dead one
    if (rank < 2) writeSync(2, `rank ${rank}: told to end, as when another rank died; go on with --resume\n`);
    worker.postMessage('stop');
  };
  signal?.addEventListener('abort', stop, { once: true });
  return new Promise<TrainResult>((resolve, reject) => {
    worker.on('message', (message: WorkerMessage) => {
      if (message.kind === 'event') onEvent(message.event);
      else if (message.kind === 'done') resolve({ recipeKind: message.recipeKind, scores: message.scores });
      else reject(new TrainError(message.message));
    });
    worker.on('error', (error) => reject(new TrainError(`train: the training thread died: ${error.message}`)));
    worker.on('exit', (code) => reject(new TrainError(`train: the training thread ended early with code ${code}`)));
  }).finally(() => signal?.removeEventListener('abort', stop));
}
