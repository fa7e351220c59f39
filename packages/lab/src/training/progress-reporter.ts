import type { LoopRun } from './loop.ts';

const reportEveryMs = 500;

type Reported = Pick<LoopRun, 'settings' | 'stage' | 'graph' | 'tokensPerStep' | 'peakFlopsPerSecond' | 'onEvent'>;

/** Sends means of the figures at most twice a second. */
export class ProgressReporter {
  readonly #run: Reported;
  readonly #first: number;
  readonly #startMs = performance.now();
  #lastMs = performance.now();
  #sums: Record<string, number> = {};
  #count = 0;
  #losses = 0;
  #steps = 0;

  /** @param first steps done before this run. */
  constructor(run: Reported, first: number) {
    this.#run = run;
    this.#first = first;
  }

  /** Mean loss since the last call, the score of a checkpoint. */
  takeMeanLoss(): number {
    const mean = this.#losses / Math.max(1, this.#steps);
    this.#losses = 0;
    this.#steps = 0;
    return mean;
  }

  add(step: number, figures: Record<string, number>): void {
    for (const [name, value] of Object.entries(figures)) this.#sums[name] = (this.#sums[name] ?? 0) + value;
    this.#count++;
    this.#losses += figures.loss!;
    this.#steps++;
    const nowMs = performance.now();
    const { settings, stage, graph, tokensPerStep, peakFlopsPerSecond, onEvent } = this.#run;
    if (nowMs - this.#lastMs < reportEveryMs && step < settings.steps) return;
    const means = Object.fromEntries(Object.entries(this.#sums).map(([name, sum]) => [name, sum / this.#count]));
    const { loss = Number.NaN, learningRate = Number.NaN, gradNorm = Number.NaN, ...metrics } = means;
    const stepsPerSecond = (this.#count * 1000) / (nowMs - this.#lastMs);
    const flopsPerSecond = stepsPerSecond * graph.flops * (settings.accumulation ?? 1);
    onEvent({
      kind: 'progress',
      stage,
      step,
      steps: settings.steps,
      loss,
      metrics,
      learningRate,
      gradNorm,
      memoryBytes: process.memoryUsage.rss(),
      tokensPerSecond: stepsPerSecond * tokensPerStep,
      flopsPerSecond,
      ...(peakFlopsPerSecond && { peakShare: flopsPerSecond / peakFlopsPerSecond }),
      etaSeconds: ((settings.steps - step) * (nowMs - this.#startMs)) / (step - this.#first) / 1000,
    });
    this.#lastMs = nowMs;
    this.#sums = {};
    this.#count = 0;
  }
}
