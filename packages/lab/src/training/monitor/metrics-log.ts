import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { TrainEvent } from '../events.ts';

export const metricsFile = 'metrics.jsonl';
/** Events kept while the disk is full. */
const maxPending = 10_000;

/**
 * Every event of a run as a line of `metrics.jsonl`, written before the next step begins, so that a killed process loses
 * none. A new run puts the file of an earlier one aside; a resumed run continues it and drops what a stage had logged
 * beyond the step it goes on from.
 */
export class MetricsLog {
  readonly #path: string;
  readonly #resumed: boolean;
  readonly #now: () => number;
  readonly #onTrouble: (text: string) => void;
  #file: number | undefined;
  #pending: string[] = [];
  #torn = false;
  #troubled = false;

  constructor(
    folder: string,
    { resume, onTrouble, now = Date.now }: { resume: boolean; onTrouble: (text: string) => void; now?: () => number },
  ) {
    mkdirSync(folder, { recursive: true });
    this.#path = join(folder, metricsFile);
    this.#now = now;
    this.#onTrouble = onTrouble;
    this.#resumed = resume && existsSync(this.#path);
    if (!resume && existsSync(this.#path)) renameSync(this.#path, join(folder, 'metrics.previous.jsonl'));
    if (this.#resumed) this.#rewrite(() => true);
  }

  append(event: TrainEvent): void {
    const time = new Date(this.#now()).toISOString();
    if (event.kind === 'begin' && this.#resumed) {
      const { stage, step } = event;
      this.#rewrite((line) => line.stage !== stage || (line.step ?? 0) <= step);
    }
    if (this.#pending.length < maxPending) this.#pending.push(`${JSON.stringify({ time, ...event })}\n`);
    this.#flush();
  }

  close(): void {
    this.#flush();
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  /** A disk that is full for a while costs nothing: lines wait for room. */
  #flush(): void {
    try {
      this.#file ??= openSync(this.#path, 'a');
      while (this.#pending.length > 0) {
        const line = Buffer.from(this.#torn ? `\n${this.#pending[0]}` : this.#pending[0]!);
        this.#torn = true;
        const written = writeSync(this.#file, line);
        if (written < line.length) throw new Error('the disk is full');
        this.#torn = false;
        this.#pending.shift();
      }
      this.#troubled = false;
    } catch (error) {
      if (!this.#troubled)
        this.#onTrouble(
          `metrics: cannot write ${this.#path} (${(error as Error).message}); training goes on, lines are kept until they can be`,
        );
      this.#troubled = true;
    }
  }

  /** Keeps the lines that a test passes; those that are no events, such as a line cut short by a kill, go as well. */
  #rewrite(keep: (line: { stage?: string; step?: number }) => boolean): void {
    const lines = readFileSync(this.#path, 'utf8').split('\n');
    const kept = lines.filter((line) => {
      const event = parseLine(line);
      return event !== undefined && keep(event);
    });
    const text = kept.map((line) => `${line}\n`).join('');
    if (text === lines.join('\n')) return;
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
    const temporary = `${this.#path}.${process.pid}.tmp`;
    try {
      const file = openSync(temporary, 'w');
      try {
        writeFileSync(file, text);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(temporary, this.#path);
    } catch (error) {
      rmSync(temporary, { force: true });
      this.#onTrouble(`metrics: cannot rewrite ${this.#path} (${(error as Error).message}); its old lines stay`);
    }
  }
}

/** A line of the file; undefined for what is none. */
export function parseLine(line: string): (TrainEvent & { time: string; stage?: string; step?: number }) | undefined {
  if (line === '') return undefined;
  try {
    const event = JSON.parse(line) as (TrainEvent & { time: string }) | null;
    return typeof event === 'object' && event !== null && typeof event.kind === 'string' ? event : undefined;
  } catch {
    return undefined;
  }
}
