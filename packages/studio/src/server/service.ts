import type { Logger } from 'pino';
import { BodyBudget } from './body.ts';
import { BodyThread } from './body-thread.ts';
import { type Engine, EngineRefusal } from './engine.ts';
import { ApiError, invalid } from './errors.ts';
import { EventStream, type EventStreamOptions } from './event-stream.ts';
import { Metrics } from './metrics.ts';
import { ClientGone, JobQueue } from './queue.ts';

export interface ServiceOptions extends EventStreamOptions {
  log: Logger;
  /** Prompts and questions are logged. Default false. */
  logPrompts?: boolean;
  /** Requests that may wait for the model. Default 256. */
  queueCapacity?: number;
  /** Bytes of uploads held at the same time. Default 256 MiB. */
  uploadBytes?: number;
}

/** Who asks. */
export interface Client {
  request: Request;
  /** Ends the connection. */
  cut(): void;
}

/** What the routes share: the model behind its queue, figures, bounds. */
export class Service {
  readonly engine: Engine;
  readonly queue: JobQueue;
  readonly metrics = new Metrics();
  readonly budget: BodyBudget;
  readonly bodies = new BodyThread();
  readonly startedSeconds = Math.floor(Date.now() / 1000);
  readonly log: Logger;
  readonly #logPrompts: boolean;
  readonly #streams: EventStreamOptions;

  constructor(engine: Engine, options: ServiceOptions) {
    const { log, logPrompts = false, queueCapacity = 256, uploadBytes = 256 * 2 ** 20, ...streams } = options;
    this.engine = engine;
    this.log = log;
    this.#logPrompts = logPrompts;
    this.budget = new BodyBudget(uploadBytes);
    this.#streams = streams;
    this.queue = new JobQueue({
      capacity: queueCapacity,
      concurrency: engine.concurrency,
      onDone: (kind, waitedMs, ranMs) => {
        this.metrics.waitSeconds.observe({ kind }, waitedMs / 1000);
        this.metrics.jobSeconds.observe({ kind }, ranMs / 1000);
      },
    });
    this.metrics.watchQueue(this.queue);
  }

  get status(): 'ok' | 'stopping' | 'failed' {
    if (this.engine.failure) return 'failed';
    return this.queue.stopping ? 'stopping' : 'ok';
  }

  /** @throws ApiError for another model than the one served. */
  requireModel(name: string | null | undefined): void {
    const { name: served } = this.engine.info;
    if (name !== undefined && name !== null && name !== served)
      throw new ApiError(404, 'model_not_found', `model: expected ${served}, the model served, got another`, {
        param: 'model',
      });
  }

  /** What was asked, where the log may have it. */
  notePrompt(kind: string, text: string): void {
    if (this.#logPrompts) this.log.info({ kind, prompt: text }, 'prompt');
  }

  /** The failure as the client is told it; what is ours is logged. */
  failure(error: unknown): ApiError {
    const told = apiError(error);
    if (told.status === 500) this.log.error({ err: error }, 'request failed');
    return told;
  }

  /** Events to one client; `produce` writes them, its failure becomes the last one. */
  stream(
    headers: Record<string, string>,
    produce: (stream: EventStream) => Promise<void>,
    stream: EventStream,
  ): Response {
    this.metrics.streams.inc();
    produce(stream)
      .then(() => stream.send(null, '[DONE]'))
      .catch((error) => {
        if (!(error instanceof ClientGone)) stream.send('error', this.failure(error).body());
      })
      .finally(() => {
        this.metrics.streams.dec();
        stream.end();
      });
    return new Response(stream.body, {
      headers: { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store', ...headers },
    });
  }

  /** @param cut ends the connection of a client that reads too slowly. */
  openStream({ cut }: Client): EventStream {
    const stream = new EventStream(this.#streams);
    stream.signal.addEventListener('abort', cut, { once: true });
    return stream;
  }
}

/** Any failure in the API's form; what is not the client's fault says nothing of the inside. */
function apiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof EngineRefusal) return invalid(null, error.message, error.code);
  if (error instanceof ClientGone) return new ApiError(400, 'cancelled', 'the client went away');
  return new ApiError(500, 'internal_error', 'the server failed; its log says why');
}
