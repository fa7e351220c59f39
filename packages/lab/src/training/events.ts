/** What a training run tells while it goes. */
export type TrainEvent =
  | { kind: 'log'; text: string }
  | { kind: 'stage'; name: string; detail: string }
  /** The loop of a stage begins, after `step` steps of an earlier run. */
  | { kind: 'begin'; stage: string; step: number; steps: number }
  | ProgressEvent
  | RoutingEvent
  /** Experts of a router starve, or it has collapsed; not `raised`: it has recovered. */
  | { kind: 'alarm'; stage: string; step: number; raised: boolean; text: string }
  | SamplesEvent
  | AnswersEvent;

export interface ProgressEvent {
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
  /** Of the training graph's matrix products and convolutions. */
  flopsPerSecond: number;
  /** `flopsPerSecond` over the measured peak of the machine, where that was measured. */
  peakShare?: number;
  etaSeconds: number;
}

/** One router over a number of steps. */
export interface RouterFigures {
  task: 't2i' | 'mmu';
  level: 'token' | 'sequence';
  layer: number;
  /** How often each expert was chosen, as a multiple of its fair share. */
  load: number[];
  /** Entropy of the loads over its maximum: 1 is perfect balance, 0 one expert for all. */
  entropy: number;
  /** Mean entropy of the router's scores over its maximum: 1 is undecided, 0 sure. */
  scoreEntropy: number;
}

export interface RoutingEvent {
  kind: 'routing';
  stage: string;
  /** Last step of those averaged. */
  step: number;
  routers: RouterFigures[];
}

/** Inference settings of samples, as stamped into the picture. */
export interface SampleSettings {
  steps: number;
  guidance: number;
  weights: 'average';
}

/** A grid of generated faces was written: a row for each prompt. */
export interface SamplesEvent {
  kind: 'samples';
  stage: string;
  step: number;
  /** Path within the run's folder. */
  file: string;
  prompts: readonly string[];
  facesPerPrompt: number;
  seed: number;
  settings: SampleSettings;
}

export interface AnswersEvent {
  kind: 'answers';
  stage: string;
  step: number;
  answers: readonly SampledAnswer[];
}

export interface SampledAnswer {
  /** Name of the face in its data set. */
  face: string;
  question: string;
  answer: string;
  /** What the labels say, where the question is one of the grammar's. */
  expected?: string;
}

export type OnTrainEvent = (event: TrainEvent) => void;

/** A run that cannot go on: one line. */
export class TrainError extends Error {
  override name = 'TrainError';
}

/** A run that was told to stop and can go on. */
export class TrainStopped extends TrainError {}
