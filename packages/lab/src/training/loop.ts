import type { FlatState, TensorValues } from '@unif2ace/graph';
import { AdamW, clipGradNorm } from './adamw.ts';
import type { Checkpoints, TrainingState } from './checkpoints.ts';
import {
  assertSameOnAllRanks,
  averageFigures,
  averageOverRanks,
  numberOfRoot,
  onAnyRank,
} from './collective/agreement.ts';
import { type Collective, single } from './collective/collective.ts';
import { type OnTrainEvent, TrainError, TrainStopped } from './events.ts';
import { learningRate } from './lr-schedule.ts';
import { ProgressReporter } from './progress-reporter.ts';
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
  /** Parts in which a rank computes its batch one after the other; each has the stage's batch sizes divided by it and by the ranks. Default 1. */
  accumulation?: number;
}

/** Which part of which step's batch, over all ranks: its examples are those at `(step · parts + part) · B` and after. */
export interface BatchPlace {
  step: number;
  part: number;
  parts: number;
}

/** Something that learns beside the graph, as a discriminator does. Its arrays go into the checkpoints. */
export interface Companion {
  readonly arrays: Readonly<Record<string, Float32Array>>;
}

/** Looks on; must change nothing. */
interface LoopObserver {
  /** The outputs of one part of a step; their buffers are reused. */
  outputs(values: Readonly<Record<string, Float32Array>>): void;
  /** After a step and before its checkpoint. `average` has the layout of the state's parameters. */
  stepDone(step: number, average: Float32Array): Promise<void>;
}

export interface LoopRun {
  stage: string;
  graph: TrainGraph;
  settings: LoopSettings;
  /** Tokens (or images) of a whole step, for the throughput. */
  tokensPerStep: number;
  /** A function of the place alone, so that a resumed run sees what an unbroken one would have seen. */
  batch: (place: BatchPlace) => TensorValues;
  /** Figures to report, from the graph's outputs. */
  metrics: (outputs: Record<string, Float32Array>) => Record<string, number>;
  /** Done after the graph's own step; its figures are reported. */
  afterStep?: (
    step: number,
    feeds: TensorValues,
    outputs: Record<string, Float32Array>,
  ) => Promise<Record<string, number>>;
  companion?: Companion;
  /** Processes that share each step's batch. Default: this one alone. */
  collective?: Collective;
  observer?: LoopObserver;
  /** What the machine can do, for the share of it that is used. */
  peakFlopsPerSecond?: number;
  onEvent: OnTrainEvent;
  signal?: AbortSignal;
  checkpoints?: Checkpoints;
  /** Steps, or seconds, between checkpoints. Default: 120 seconds. One is written besides when the run is stopped. */
  checkpointEvery?: { steps: number } | { seconds: number };
}

/** Biases and norms are not decayed. */
export function isUndecayed(_name: string, shape: readonly number[]): boolean {
  return shape.length < 2;
}

/**
 * Trains for the given steps with AdamW, warm-up and cosine, clipping and an exponential moving average; the average is
 * left in the state's parameters. Goes on from the newest checkpoint, to the very bits of a run never stopped. Ranks take
 * parts of each batch and average gradients and figures; rank 0 reads and writes checkpoints.
 * @throws TrainError when loss or gradients are no finite numbers (naming the tensor), or the run is aborted.
 */
export async function trainLoop(run: LoopRun): Promise<void> {
  const { settings, graph, stage, checkpoints, collective = single } = run;
  const { state } = graph;
  const optimizer = new AdamW(state, {
    learningRate: settings.learningRate,
    betas: settings.betas ?? [0.9, 0.99],
    weightDecay: settings.weightDecay,
    noDecay: isUndecayed,
  });
  const schedule = { kind: 'cosine', warmupSteps: settings.warmupSteps, totalSteps: settings.steps } as const;
  const average = state.params.slice();
  const arrays = { params: state.params, m: state.m, v: state.v, average, ...run.companion?.arrays };
  const first = await restore(run, collective, arrays);
  optimizer.steps = first;
  if (first > 0) run.onEvent({ kind: 'log', text: `resumed: ${stage} at step ${first} of ${settings.steps}` });
  run.onEvent({ kind: 'begin', stage, step: first, steps: settings.steps });
  const accumulation = settings.accumulation ?? 1;
  const sum = accumulation > 1 ? new Float32Array(state.grads.length) : undefined;
  const report = new ProgressReporter(run, first);
  const saver = new Saver(run, first);
  const parts = accumulation * collective.size;
  const compared = [state.params, ...Object.values(run.companion?.arrays ?? {})];
  const save = async (step: number) => {
    assertSameOnAllRanks(collective, compared, `${stage} step ${step}`);
    if (collective.rank === 0) await checkpoints?.save({ step, arrays }, report.takeMeanLoss());
  };
  for (let step = first; step < settings.steps; step++) {
    if (onAnyRank(collective, run.signal?.aborted ?? false)) {
      if (step > saver.lastStep) await save(step);
      throw new TrainStopped(`train: stopped in ${stage} at step ${step} of ${settings.steps}`);
    }
    const own: Record<string, number> = {};
    sum?.fill(0);
    for (let part = 0; part < accumulation; part++) {
      const feeds = run.batch({ step, part: part * collective.size + collective.rank, parts });
      const outputs = await graph.run(feeds);
      Object.assign(own, await run.afterStep?.(step, feeds, outputs));
      for (const [name, value] of Object.entries({ loss: outputs.loss![0]!, ...run.metrics(outputs) }))
        own[name] = (own[name] ?? 0) + value / accumulation;
      run.observer?.outputs(outputs);
      if (sum) addTo(sum, state.grads, 1 / accumulation);
    }
    if (sum) state.grads.set(sum);
    averageOverRanks(collective, state.grads);
    const figures = averageFigures(collective, own);
    const norm = clipGradNorm(state.grads, settings.clipNorm);
    if (!Number.isFinite(figures.loss) || !Number.isFinite(norm)) throw notFinite(run, step, figures.loss!);
    optimizer.learningRate = learningRate(schedule, step + 1, { base: settings.learningRate });
    optimizer.step();
    // a short average first, so that the start is forgotten
    moveAverage(average, state.params, Math.min(settings.emaDecay, (1 + step) / (10 + step)));
    report.add(step + 1, { ...figures, gradNorm: norm, learningRate: optimizer.learningRate });
    await run.observer?.stepDone(step + 1, average);
    if (saver.isDue(step + 1)) await save(step + 1);
  }
  assertSameOnAllRanks(collective, [average, ...compared], `${stage} step ${settings.steps}`);
  state.params.set(average);
}

/** Fills the arrays on all ranks with the newest checkpoint, or with what rank 0 holds, and returns the steps taken. */
async function restore(
  { checkpoints }: LoopRun,
  collective: Collective,
  arrays: TrainingState['arrays'],
): Promise<number> {
  const known = collective.rank === 0 ? await checkpoints?.latest() : undefined;
  for (const [name, array] of Object.entries(arrays)) {
    if (known) array.set(known.arrays[name]!);
    collective.broadcast(array);
  }
  return numberOfRoot(collective, known?.step ?? 0);
}

function addTo(sum: Float32Array, values: Float32Array, factor: number): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + factor * values[i]!;
}

/** average ← average + (1 − decay)·(params − average). */
export function moveAverage(average: Float32Array, params: Float32Array, decay: number): void {
  const rest = 1 - decay;
  for (let i = 0; i < average.length; i++) average[i] = average[i]! + rest * (params[i]! - average[i]!);
}

function notFinite({ stage, graph, settings, checkpoints }: LoopRun, step: number, loss: number): TrainError {
  const where = firstNotFinite(graph.state);
  const kept = checkpoints ? '; the checkpoints before it are kept' : '';
  return new TrainError(
    `train: ${stage} step ${step}: expected a finite loss and gradients, got loss ${loss}${where ? ` and ${where}` : ''}${kept}; try a lower learning rate than ${settings.learningRate}`,
  );
}

/** The first parameter or gradient that holds no number. */
function firstNotFinite(state: FlatState): string | undefined {
  for (const [kind, view] of [
    ['parameter', (name: string) => state.param(name)],
    ['gradient', (name: string) => state.grad(name)],
  ] as const)
    for (const { name } of state.specs) {
      const bad = view(name).find((value) => !Number.isFinite(value));
      if (bad !== undefined) return `${bad} in the ${kind} of ${name}`;
    }
  return undefined;
}

const defaultCheckpointEvery = { seconds: 120 };

/** When the next checkpoint is due. */
class Saver {
  lastStep: number;
  readonly #every: { steps: number } | { seconds: number };
  readonly #steps: number;
  readonly #collective: Collective;
  #lastMs = performance.now();

  constructor({ checkpointEvery = defaultCheckpointEvery, settings, collective = single }: LoopRun, first: number) {
    this.#collective = collective;
    this.#every = checkpointEvery;
    this.#steps = settings.steps;
    this.lastStep = first;
  }

  isDue(step: number): boolean {
    const dueHere =
      'steps' in this.#every
        ? step % this.#every.steps === 0
        : performance.now() - this.#lastMs >= 1000 * this.#every.seconds;
    // clocks of ranks differ: rank 0 decides
    const due = numberOfRoot(this.#collective, Number(dueHere)) === 1;
    // the end of a stage is stored as its result
    if (!due || step === this.#steps) return false;
    this.lastStep = step;
    this.#lastMs = performance.now();
    return true;
  }
}
