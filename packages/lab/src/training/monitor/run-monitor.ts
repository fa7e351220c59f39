import type { Collective } from '../collective/collective.ts';
import type { OnTrainEvent, TrainEvent } from '../events.ts';
import { MetricsLog } from './metrics-log.ts';
import { TensorBoardWriter } from './tensorboard.ts';

export interface MonitorOptions {
  /** Folder of the run. */
  folder: string;
  resume?: boolean;
  /** Write TensorBoard's event files as well. */
  tensorboard?: boolean;
  /** Of the processes that train together rank 0 writes. */
  collective?: Collective;
  onEvent: OnTrainEvent;
}

/**
 * Runs work whose events are written to the run's folder and handed on. Trouble with these files is told once and never
 * ends a run: they are not the model.
 */
export async function monitored<T>(options: MonitorOptions, work: (onEvent: OnTrainEvent) => Promise<T>): Promise<T> {
  const { folder, resume = false, tensorboard = false, collective, onEvent } = options;
  if (collective && collective.rank > 0) return work(onEvent);
  const log = new MetricsLog(folder, { resume, onTrouble: (text) => onEvent({ kind: 'log', text }) });
  let board = tensorboard ? new TensorBoardWriter(folder) : undefined;
  try {
    return await work((event: TrainEvent) => {
      log.append(event);
      try {
        board?.append(event);
      } catch (error) {
        board = undefined;
        onEvent({ kind: 'log', text: `tensorboard: no more events are written: ${(error as Error).message}` });
      }
      onEvent(event);
    });
  } finally {
    log.close();
    board?.close();
  }
}
