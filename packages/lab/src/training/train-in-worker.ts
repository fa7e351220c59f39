import { startWorker } from '@unif2ace/graph/node';
import { type OnTrainEvent, TrainError, type TrainEvent } from './events.ts';
import type { RunOptions } from './run-recipe.ts';

export interface WorkerRun {
  /** Module whose default export is the recipe. */
  recipeUrl: string;
  options: Omit<RunOptions, 'onEvent' | 'signal' | 'runtime'>;
}

export type WorkerMessage =
  | { kind: 'event'; event: TrainEvent }
  | { kind: 'done' }
  | { kind: 'failed'; message: string };

/**
 * Trains a recipe in a thread of its own, so that progress, signals and other work go on meanwhile. An abort ends the run
 * after the current step. @throws TrainError with the thread's message.
 */
export function trainInWorker(run: WorkerRun, onEvent: OnTrainEvent, signal?: AbortSignal): Promise<void> {
  const worker = startWorker('train-worker', import.meta.url, run);
  const stop = () => worker.postMessage('stop');
  signal?.addEventListener('abort', stop, { once: true });
  return new Promise<void>((resolve, reject) => {
    worker.on('message', (message: WorkerMessage) => {
      if (message.kind === 'event') onEvent(message.event);
      else if (message.kind === 'done') resolve();
      else reject(new TrainError(message.message));
    });
    worker.on('error', (error) => reject(new TrainError(`train: the training thread died: ${error.message}`)));
    worker.on('exit', (code) => reject(new TrainError(`train: the training thread ended early with code ${code}`)));
  }).finally(() => signal?.removeEventListener('abort', stop));
}
