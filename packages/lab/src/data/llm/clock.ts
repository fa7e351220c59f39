import { setMaxListeners } from 'node:events';
import { setTimeout as timeout } from 'node:timers/promises';
import { Philox, streamFromName } from '@unif2ace/graph';

/** Time as the endpoint sees it; tests bring their own. */
export interface Clock {
  nowMs(): number;
  /** @throws the signal's reason when it fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: Date.now,
  async sleep(ms, signal) {
    try {
      await timeout(ms, undefined, { signal });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  },
};

const firstDelayMs = 1000;
const maxDelayMs = 60_000;

/** Delay before attempt n + 1: doubled each time, half of it jitter that depends on name and attempt alone. */
export function backoffMs(name: string, attempt: number): number {
  const [high, low] = streamFromName(name);
  const delay = Math.min(maxDelayMs, firstDelayMs * 2 ** (attempt - 1));
  return Math.round(delay * (0.5 + 0.5 * new Philox(0, high, low, attempt).uniform()));
}

/** A signal that fires with the first of several; `unlink` takes the listeners off again. */
export interface LinkedSignal {
  signal: AbortSignal;
  abort(reason: unknown): void;
  unlink(): void;
}

/** Every item of a run listens to the same signal. */
export function listen(signal: AbortSignal, fire: () => void): void {
  setMaxListeners(0, signal);
  signal.addEventListener('abort', fire, { once: true });
}

/** AbortSignal.any keeps every signal ever linked to one that lives as long as the run. */
export function linkSignals(...sources: (AbortSignal | undefined)[]): LinkedSignal {
  const controller = new AbortController();
  const links = sources.flatMap((source) => {
    if (!source) return [];
    const fire = () => controller.abort(source.reason);
    if (source.aborted) fire();
    else listen(source, fire);
    return [() => source.removeEventListener('abort', fire)];
  });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    unlink: () => {
      for (const unlink of links) unlink();
    },
  };
}
