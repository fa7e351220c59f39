/** What a training run tells while it goes. */
export type TrainEvent =
  | { kind: 'log'; text: string }
  | { kind: 'stage'; name: string; detail: string }
  | {
      kind: 'progress';
      stage: string;
      /** Steps done. */
      step: number;
      steps: number;
      loss: number;
      /** Means since the last event. */
      metrics: Record<string, number>;
      learningRate: number;
      /** Before clipping. */
      gradNorm: number;
      /** Resident memory of the process. */
      memoryBytes: number;
      tokensPerSecond: number;
      etaSeconds: number;
    };

export type OnTrainEvent = (event: TrainEvent) => void;

/** A run that cannot go on: one line. */
export class TrainError extends Error {
  override name = 'TrainError';
}

/** A run that was told to stop and can go on. */
export class TrainStopped extends TrainError {}
