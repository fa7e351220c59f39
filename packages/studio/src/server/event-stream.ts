import { ClientGone } from './queue.ts';

export interface EventStreamOptions {
  /** A client that reads nothing for so long while something waits for it is cut off. Default 60 s. */
  stallMs?: number;
  /** A comment is sent so often, to notice clients that are gone. Default 15 s. */
  heartbeatMs?: number;
}

interface Waiting {
  key: string | null;
  bytes: Uint8Array;
}

const utf8 = new TextEncoder();

/**
 * Server-sent events to one client. Bounded for slow readers: an event with a key takes the place of an unsent one with the same
 * key, so that progress never piles up; what must arrive has no key.
 */
export class EventStream {
  /** Aborted when the client is gone or too slow. */
  readonly signal: AbortSignal;
  readonly body: ReadableStream<Uint8Array>;
  readonly #gone = new AbortController();
  readonly #waiting: Waiting[] = [];
  readonly #heartbeat: NodeJS.Timeout;
  readonly #stallMs: number;
  #stall: NodeJS.Timeout | undefined;
  #wake: (() => void) | undefined;
  #ended = false;

  constructor({ stallMs = 60_000, heartbeatMs = 15_000 }: EventStreamOptions = {}) {
    this.signal = this.#gone.signal;
    this.#stallMs = stallMs;
    this.body = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          if (this.#waiting.length === 0 && !this.#ended)
            await new Promise<void>((resolve) => {
              this.#wake = resolve;
            });
          const next = this.#waiting.shift();
          this.#watchStall();
          if (next) controller.enqueue(next.bytes);
          else if (!this.signal.aborted) controller.close();
          if (this.#waiting.length === 0 && this.#ended) this.#stop();
        },
        cancel: () => this.#leave('the client went away'),
      },
      { highWaterMark: 0 },
    );
    this.#heartbeat = setInterval(() => this.comment('alive', 'heartbeat'), heartbeatMs);
    this.#heartbeat.unref();
  }

  /** An event; its name is left out when null. @param data text or bytes as they are, anything else as JSON. */
  send(name: string | null, data: unknown, key: string | null = null): void {
    const event = name === null ? '' : `event: ${name}\n`;
    if (data instanceof Uint8Array)
      this.#push(Buffer.concat([utf8.encode(`${event}data: `), data, utf8.encode('\n\n')]), key);
    else this.#push(utf8.encode(`${event}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`), key);
  }

  /** Something that clients pass over. */
  comment(text: string, key: string | null = null): void {
    this.#push(utf8.encode(`: ${text}\n\n`), key);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#heartbeat);
    this.#resume();
  }

  #push(bytes: Uint8Array, key: string | null): void {
    if (this.#ended || this.signal.aborted) return;
    const waiting = { key, bytes };
    const at = key === null ? -1 : this.#waiting.findIndex((one) => one.key === key);
    if (at >= 0) this.#waiting[at] = waiting;
    else this.#waiting.push(waiting);
    if (!this.#stall) this.#watchStall();
    this.#resume();
  }

  #resume(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #watchStall(): void {
    clearTimeout(this.#stall);
    this.#stall = undefined;
    if (this.#waiting.length === 0) return;
    this.#stall = setTimeout(() => this.#leave('the client reads too slowly'), this.#stallMs);
    this.#stall.unref();
  }

  #leave(why: string): void {
    this.#stop();
    this.#waiting.length = 0;
    this.#ended = true;
    this.#resume();
    this.#gone.abort(new ClientGone(why));
  }

  #stop(): void {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#stall);
    this.#stall = undefined;
  }
}
