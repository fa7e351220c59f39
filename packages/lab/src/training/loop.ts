import type { TensorValues } from '@unif2ace/graph';
import { AdamW, clipGradNorm } from './adamw.ts';
import { type OnTrainEvent, TrainError } from './events.ts';
import { learningRate } from './lr-schedule.ts';
import type { TrainGraph } from './train-graph.ts';

export interface LoopSettings {
  steps: number;
  learningRate: number;
  warmupSteps: number;
  /** Default [0.9, 0.99]: short runs have no time for a long second moment. */
  betas?: readonly [number, number];
  weightDecay: number;
  clipNorm: number;
  /** Share of the average that a step leaves in place. */
  emaDecay: number;
}

export interface LoopRun {
  stage: string;
  graph: TrainGraph;
  settings: LoopSettings;
  /** Tokens (or images) in a batch, for the throughput. */
  tokensPerStep: number;
  batch: (step: number) => TensorValues;
  /** Figures to report, from the graph's outputs. */
  metrics: (outputs: Record<string, Float32Array>) => Record<string, number>;
  onEvent: OnTrainEvent;
  signal?: AbortSignal;
}

const reportEveryMs = 500;

/** Biases and norms are not decayed. */
function isUndecayed(_name: string, shape: readonly number[]): boolean {
  return shape.length < 2;
}

/**
 * Trains for the given steps with AdamW, warm-up and cosine, clipping and an exponential moving average; the average is
 * left in the state's parameters. @throws TrainError when the loss is no finite number, or the run is aborted.
 */
export async function trainLoop(run: LoopRun): Promise<void> {
  const { settings, graph, stage } = run;
  const { state } = graph;
  const optimizer = new AdamW(state, {
    learningRate: settings.learningRate,
    betas: settings.betas ?? [0.9, 0.99],
    weightDecay: settings.weightDecay,
    noDecay: isUndecayed,
  });
  const schedule = { kind: 'cosine', warmupSteps: settings.warmupSteps, totalSteps: settings.steps } as const;
  const average = state.params.slice();
  const report = new Reporter(run);
  for (let step = 0; step < settings.steps; step++) {
    if (run.signal?.aborted) throw new TrainError(`train: stopped in ${stage} at step ${step} of ${settings.steps}`);
    const outputs = await graph.run(run.batch(step));
    const loss = outputs.loss![0]!;
    if (!Number.isFinite(loss))
      throw new TrainError(
        `train: ${stage} step ${step}: expected a finite loss, got ${loss}; try a lower learning rate than ${settings.learningRate}`,
      );
    clipGradNorm(state.grads, settings.clipNorm);
    optimizer.learningRate = learningRate(schedule, step + 1, { base: settings.learningRate });
    optimizer.step();
    // a short average first, so that the start is forgotten
    moveAverage(average, state.params, Math.min(settings.emaDecay, (1 + step) / (10 + step)));
    report.add(step + 1, { loss, ...run.metrics(outputs) });
  }
  state.params.set(average);
}

function moveAverage(average: Float32Array, params: Float32Array, decay: number): void {
  const rest = 1 - decay;
  for (let i = 0; i < average.length; i++) average[i] = average[i]! + rest * (params[i]! - average[i]!);
}

/** Sends means of the figures at most twice a second. */
class Reporter {
  readonly #run: LoopRun;
  readonly #startMs = performance.now();
  #lastMs = performance.now();
  #sums: Record<string, number> = {};
  #count = 0;

  constructor(run: LoopRun) {
    this.#run = run;
  }

  add(step: number, figures: Record<string, number>): void {
    for (const [name, value] of Object.entries(figures)) this.#sums[name] = (this.#sums[name] ?? 0) + value;
    this.#count++;
    const nowMs = performance.now();
    const { settings, stage, tokensPerStep, onEvent } = this.#run;
    if (nowMs - this.#lastMs < reportEveryMs && step < settings.steps) return;
    const means = Object.fromEntries(Object.entries(this.#sums).map(([name, sum]) => [name, sum / this.#count]));
    const { loss = Number.NaN, ...metrics } = means;
    onEvent({
      kind: 'progress',
      stage,
      step,
      steps: settings.steps,
      loss,
      metrics,
      tokensPerSecond: (this.#count * tokensPerStep * 1000) / (nowMs - this.#lastMs),
      etaSeconds: ((settings.steps - step) * (nowMs - this.#startMs)) / step / 1000,
    });
    this.#lastMs = nowMs;
    this.#sums = {};
    this.#count = 0;
  }
}
