import { firstLine } from './devices.ts';
import { type Session, SessionError, type TensorValues } from './session.ts';
import type { Engine } from './web-engine.ts';

/** How long a failed run waits for the word that the GPU was lost, which comes a moment later. */
const wordMs = 250;

/** Whether the GPU of an engine was lost. */
export class GpuLoss {
  readonly #told = new Set<(why: string) => void>();
  #why: string | null = null;

  constructor(lost: Promise<{ reason: string; message: string }>) {
    void lost.then(({ message, reason }) => {
      this.#why = firstLine(message || reason);
      for (const tell of this.#told) tell(this.#why);
      this.#told.clear();
    });
  }

  get happened(): boolean {
    return this.#why !== null;
  }

  /** Calls `tell` when it happens, at once if it has; gives what ends that. */
  onLost(tell: (why: string) => void): () => void {
    if (this.#why !== null) tell(this.#why);
    else this.#told.add(tell);
    return () => this.#told.delete(tell);
  }

  /** `work`, or a failure once the GPU is lost: the engine may wait for its answer for ever. */
  during<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const forget = this.onLost((why) => reject(new SessionError(`run: the GPU was lost: ${why}`)));
      work.then(resolve, reject).finally(forget);
    });
  }

  /** Whether it has happened or is about to be told. */
  soon(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        forget();
        resolve(false);
      }, wordMs);
      const forget = this.onLost(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }
}

const losses = new WeakMap<Engine, GpuLoss>();

/** The loss of an engine that has a session on the GPU. */
export async function watchLoss(engine: Engine): Promise<GpuLoss> {
  const gpu = (await engine.ort.env.webgpu.device) as unknown as {
    lost: Promise<{ reason: string; message: string }>;
  };
  const known = losses.get(engine) ?? new GpuLoss(gpu.lost);
  losses.set(engine, known);
  return known;
}

/** A session on the GPU; when that is lost, the same one elsewhere, beginning with the run that failed. */
export class MovingSession implements Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #first: Session;
  readonly #loss: GpuLoss;
  readonly #openNext: () => Promise<Session>;
  #next: Promise<Session> | null = null;

  constructor(session: Session, loss: GpuLoss, openNext: () => Promise<Session>) {
    this.inputNames = session.inputNames;
    this.outputNames = session.outputNames;
    this.#first = session;
    this.#loss = loss;
    this.#openNext = openNext;
  }

  async run(feeds: TensorValues, fetches?: readonly string[] | TensorValues): Promise<TensorValues> {
    if (!this.#loss.happened) {
      try {
        return await this.#loss.during(this.#first.run(feeds, fetches));
      } catch (error) {
        if (!(await this.#loss.soon())) throw error;
      }
    }
    this.#next ??= this.#openNext();
    return (await this.#next).run(feeds, fetches);
  }

  async release(): Promise<void> {
    if (!this.#loss.happened) await this.#first.release();
    await (await this.#next)?.release();
  }
}
