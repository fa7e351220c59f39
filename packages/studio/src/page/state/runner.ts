import { computed, type ReadonlySignal, signal } from '@preact/signals';
import { EngineError } from '../engine.ts';

export type RunStatus =
  | { state: 'idle' }
  | { state: 'queued'; ahead: number }
  | { state: 'working'; note: string /** 0 to 1; absent where there is nothing to count. */; share?: number }
  | { state: 'done'; note: string }
  | { state: 'cancelled' }
  | { state: 'failed'; message: string };

/** What the reader sees of an error. */
export function oneLine(error: unknown): string {
  if (error instanceof EngineError) return error.message;
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/\s+/g, ' ') || 'something went wrong; try again';
}

/** One piece of work at a time, with its state for the page; cancelled by the reader or by what follows it. */
export class Runner {
  readonly #status = signal<RunStatus>({ state: 'idle' });
  #controller: AbortController | undefined;

  get status(): ReadonlySignal<RunStatus> {
    return this.#status;
  }

  readonly busy = computed(() => this.#status.value.state === 'queued' || this.#status.value.state === 'working');

  /** Runs work to its end; undefined when it was cancelled or failed, which the status then says. */
  async run<T>(
    note: string,
    work: (signal: AbortSignal, report: (status: RunStatus) => void) => Promise<T>,
    doneNote: (result: T) => string,
  ): Promise<T | undefined> {
    this.#controller?.abort();
    const controller = new AbortController();
    this.#controller = controller;
    const current = () => this.#controller === controller;
    this.#status.value = { state: 'working', note };
    try {
      const result = await work(controller.signal, (status) => {
        if (current() && !controller.signal.aborted) this.#status.value = status;
      });
      if (!current()) return undefined;
      this.#status.value = { state: 'done', note: doneNote(result) };
      return result;
    } catch (error) {
      if (!current()) return undefined;
      this.#status.value = controller.signal.aborted
        ? { state: 'cancelled' }
        : { state: 'failed', message: oneLine(error) };
      return undefined;
    } finally {
      if (current()) this.#controller = undefined;
    }
  }

  /** True when there was something to cancel. */
  cancel(): boolean {
    if (!this.#controller) return false;
    this.#controller.abort();
    this.#status.value = { state: 'cancelled' };
    return true;
  }

  /** Shows a problem that came up before any work began. */
  fail(message: string): void {
    this.#status.value = { state: 'failed', message };
  }

  reset(): void {
    this.#controller?.abort();
    this.#controller = undefined;
    this.#status.value = { state: 'idle' };
  }
}
