import type { TrainEvent } from '@unif2ace/lab';
import type { Output } from './environment.ts';

type TrainProgress = Omit<Extract<TrainEvent, { kind: 'progress' }>, 'kind'>;

/** Time between lines when the output is no terminal. */
const plainIntervalMs = 5000;

/**
 * One line that changes. A terminal shows it in place; elsewhere a line is written at most every five seconds, so that
 * a log stays short.
 */
export class StatusLine {
  readonly #output: Output;
  readonly #now: () => number;
  #shown = false;
  #lastMs: number;

  constructor(output: Output, now: () => number = () => performance.now()) {
    this.#output = output;
    this.#now = now;
    this.#lastMs = now();
  }

  show(text: string): void {
    if (this.#output.isTTY) {
      // a line that wraps could not be rewritten
      this.#output.write(`\r\x1b[2K${[...text].slice(0, (this.#output.columns ?? 80) - 1).join('')}`);
      this.#shown = true;
    } else if (this.#now() - this.#lastMs >= plainIntervalMs) {
      this.#lastMs = this.#now();
      this.#output.write(`${text}\n`);
    }
  }

  /** A lasting line above the changing one. */
  log(text: string): void {
    this.clear();
    this.#output.write(`${text}\n`);
  }

  clear(): void {
    if (this.#shown) this.#output.write('\r\x1b[2K');
    this.#shown = false;
  }
}

/** "1 h 02 min", "3 min 20 s", "12 s"; a dash while unknown. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '–';
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, '0');
  if (whole >= 3600) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  if (whole >= 60) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${whole} s`;
}

/** A number in few characters, without exponent in the usual range. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return value.toExponential(1);
  return size >= 1000 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(4)));
}

/** Stage, step, loss, tokens per second, share of the machine's peak, memory, time left, metrics. */
export function progressText(progress: TrainProgress): string {
  const { stage, step, steps, loss, metrics, tokensPerSecond, peakShare, memoryBytes, etaSeconds } = progress;
  const parts = [
    `${stage} ${step.toLocaleString('en-US')}/${steps.toLocaleString('en-US')}`,
    `loss ${short(loss)}`,
    ...(tokensPerSecond > 0 ? [`${short(Math.round(tokensPerSecond))} tokens/s`] : []),
    ...(peakShare === undefined ? [] : [`${Math.round(100 * peakShare)} % of peak`]),
    `${Math.round(memoryBytes / 2 ** 20).toLocaleString('en-US')} MiB`,
    `${duration(etaSeconds)} left`,
    ...Object.entries(metrics).map(([name, value]) => `${name} ${short(value)}`),
  ];
  return parts.join(' · ');
}
