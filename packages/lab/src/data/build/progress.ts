import type { StageName } from './types.ts';

export interface StageProgress {
  stage: StageName;
  done: number;
  /** Unknown while a source is still being listed. */
  total?: number;
  perSecond: number;
  etaSeconds?: number;
}

const reportEveryMs = 500;

/** Counts items of the stage under way and reports at most twice a second, and at its end. */
export class StageClock {
  readonly #onProgress: ((progress: StageProgress) => void) | undefined;
  readonly #rates: Partial<Record<StageName, number>> = {};
  #stage: StageName | null = null;
  #total: number | undefined;
  #done = 0;
  #startMs = 0;
  #reportedMs = 0;

  constructor(onProgress: ((progress: StageProgress) => void) | undefined) {
    this.#onProgress = onProgress;
  }

  start(stage: StageName, total?: number): void {
    this.finish();
    this.#stage = stage;
    this.#total = total;
    this.#done = 0;
    this.#startMs = performance.now();
    this.#reportedMs = this.#startMs;
  }

  tick(): void {
    this.#done++;
    const nowMs = performance.now();
    if (nowMs - this.#reportedMs >= reportEveryMs) this.#report(nowMs);
  }

  finish(): void {
    if (this.#stage) this.#report(performance.now());
    this.#stage = null;
  }

  #report(nowMs: number): void {
    this.#reportedMs = nowMs;
    const perSecond = (1000 * this.#done) / Math.max(1, nowMs - this.#startMs);
    this.#rates[this.#stage!] = perSecond;
    this.#onProgress?.({
      stage: this.#stage!,
      done: this.#done,
      perSecond,
      ...(this.#total !== undefined && { total: this.#total, etaSeconds: (this.#total - this.#done) / perSecond }),
    });
  }

  perSecond(): Partial<Record<StageName, number>> {
    return { ...this.#rates };
  }
}
