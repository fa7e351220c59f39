import { OpenAI } from 'openai';
import type { ChatCompletionCreateParamsNonStreaming } from 'openai/resources/chat/completions';
import { z } from 'zod';
import { letterSchema } from './batch-state.ts';
import { backoffMs, type Clock, systemClock } from './clock.ts';
import type { LlmEvent, Tally, TokenUsage } from './events.ts';
import {
  countTry,
  type DeadLetter,
  Fault,
  isAnswer,
  LlmItemError,
  LlmPending,
  LlmRunError,
  mayRetry,
  type Tries,
} from './faults.ts';
import { InFlight } from './in-flight.ts';
import { readReply, usageOf } from './reply.ts';
import type { LlmRequest, SamplingChoice } from './request.ts';
import { Traffic } from './traffic.ts';

/** Where results are kept. `put` has kept the value for good when it resolves; values are JSON. */
export interface ResultStore {
  get(key: string): Promise<unknown>;
  put(key: string, value: unknown): Promise<void>;
  /** Runs the work when no other process has one under this key; none where a store has one user. @throws the signal's reason. */
  exclusively?<T>(key: string, work: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

export interface LlmEndpointOptions {
  /** Up to and including the version: "https://api.openai.com/v1". */
  baseURL: string;
  /** Empty for a local server without one. */
  apiKey: string;
  model: string;
  store: ResultStore;
  /** Requests on their way at the same time; default 4. */
  concurrency?: number;
  /** For one request and its whole answer; default two minutes. */
  timeoutMs?: number;
  /** Attempts after the first; default 4. Waiting for a rate limit is not an attempt. */
  maxRetries?: number;
  /** Longest pause a rate limit may ask for; a longer one ends the run. Default one hour. */
  maxPauseMs?: number;
  pricePerMillionTokens?: { input: number; output: number };
  temperature?: number;
  /** Mixed with the face's seed and sent along; endpoints may ignore it. */
  seed?: number;
  maxOutputTokens?: number;
  /** `batch` sends no single request: one without a kept answer throws LlmPending, for `submitBatch`. Default `now`. */
  ask?: 'now' | 'batch';
  onEvent?: (event: LlmEvent) => void;
  clock?: Clock;
}

/** What is sent again after an answer that could not be used. */
interface Correction {
  complaint: string;
  answer?: string;
}

const longestTimerMs = 2 ** 31 - 1;

/** Requests rejected in a row that end the run: the endpoint does not take this kind of request at all. */
const maxRejectedInRow = 20;

const storedSchema = z.object({
  value: z.unknown(),
  usage: z.object({ inputTokens: z.number(), outputTokens: z.number() }),
});

/**
 * An OpenAI-compatible chat endpoint that answers each request at most once: results are kept before they are returned,
 * and found again by key in every later run. Share one between captioner and question writer: limits, pauses, cost and
 * the end of the run are those of the endpoint. Prompts, images and answers are never logged.
 */
export class LlmEndpoint {
  readonly client: OpenAI;
  readonly traffic: Traffic;
  readonly sampling: SamplingChoice;
  readonly maxRetries: number;
  readonly clock: Clock;
  readonly emit: (event: LlmEvent) => void;
  readonly #options: LlmEndpointOptions;
  readonly #timeoutMs: number;
  readonly #maxPauseMs: number;
  readonly #inFlight = new InFlight();
  readonly #deadLetters = new Map<string, DeadLetter>();
  readonly #tally: Tally = { replies: 0, inputTokens: 0, outputTokens: 0, cost: 0 };
  readonly #givenUp = new Map<string, DeadLetter>();
  #structured = true;
  #rejectedInRow = 0;

  /** @throws RangeError for a concurrency, timeout or number of retries out of range; TypeError for a baseURL that is none. */
  constructor(options: LlmEndpointOptions) {
    const { baseURL, model, temperature, seed, concurrency = 4, timeoutMs = 120_000, maxRetries = 4 } = options;
    atLeast('concurrency', concurrency, 1);
    atLeast('timeoutMs', timeoutMs, 1);
    atLeast('maxRetries', maxRetries, 0);
    const { origin, pathname } = new URL(baseURL);
    this.#options = options;
    this.#timeoutMs = timeoutMs;
    this.maxRetries = maxRetries;
    this.#maxPauseMs = options.maxPauseMs ?? 3_600_000;
    this.clock = options.clock ?? systemClock;
    this.emit = options.onEvent ?? (() => {});
    this.sampling = { model, ...(temperature !== undefined && { temperature }), ...(seed !== undefined && { seed }) };
    this.client = new OpenAI({
      baseURL,
      apiKey: options.apiKey || 'none',
      // Retries and time limits are those of Traffic
      maxRetries: 0,
      timeout: longestTimerMs,
      // At level debug the client would log bodies
      logLevel: 'off',
    });
    this.traffic = new Traffic({
      url: `${origin}${pathname}`,
      model,
      concurrency,
      maxPauseMs: this.#maxPauseMs,
      clock: this.clock,
      onEvent: this.emit,
    });
  }

  /** Items that were asked for in this process and given up, here or before. */
  get deadLetters(): readonly DeadLetter[] {
    return [...this.#deadLetters.values()];
  }

  /** Replies, tokens and cost so far, in this process. */
  get tally(): Readonly<Tally> {
    return { ...this.#tally };
  }

  /**
   * Answer to a request: kept from earlier, on its way for someone else, or asked for now.
   *
   * @throws LlmItemError when this item was given up, now or in an earlier run (see `Asking`); LlmPending when it waits for a batch; LlmRunError when the run cannot go on; the signal's reason.
   */
  request<T>(request: LlmRequest<T>, signal?: AbortSignal): Promise<T> {
    return this.#inFlight.join(request.key, (shared) => this.#obtain(request, shared), signal);
  }

  /** Result of an earlier run; undefined when there is none. */
  async kept<T>(request: LlmRequest<T>): Promise<T | undefined> {
    const { key, task, schema } = request;
    const stored = storedSchema.safeParse(await this.#options.store.get(key));
    const value = stored.success ? schema.check.safeParse(stored.data.value) : undefined;
    if (!value?.success) return undefined;
    this.emit({ type: 'reused', key, task, usage: stored.data!.usage });
    return value.data;
  }

  /**
   * Counts a reply, checks it and keeps its answer.
   *
   * @throws Fault when it cannot be used.
   */
  async accept<T>(request: LlmRequest<T>, completion: unknown, priceFactor = 1): Promise<T> {
    const usage = usageOf(completion);
    this.#count(request, usage, priceFactor);
    const value = readReply(completion, request.schema);
    await this.#keep(request.key, { value, usage });
    return value;
  }

  async #keep(key: string, value: unknown): Promise<void> {
    try {
      await this.#options.store.put(key, value);
    } catch (cause) {
      // Further answers would be paid for and lost
      const failed = cause instanceof Error ? cause.message : String(cause);
      throw this.traffic.stop(
        new LlmRunError(`llm: expected the result store to keep an answer, got "${failed}"; try a store with room`),
      );
    }
  }

  /** Items that batches have given up: asking for them throws LlmItemError. */
  giveUp(letters: readonly DeadLetter[]): void {
    for (const letter of letters) this.#givenUp.set(letter.key, letter);
  }

  /** Puts an item on the list of those given up. */
  bury(request: Pick<LlmRequest<unknown>, 'key' | 'faceId' | 'task'>, fault: Fault, attempts: number): DeadLetter {
    const { key, faceId, task } = request;
    const { reason, status, details } = fault;
    const letter = { key, faceId, task, reason, attempts, status, code: details.code ?? null };
    this.#report(letter);
    return letter;
  }

  #report(letter: DeadLetter): void {
    this.#deadLetters.set(letter.key, letter);
    this.emit({ type: 'dead-letter', letter });
  }

  /** The endpoint was found not to know response_format; true when that is news to this request. */
  withoutFormat(fault: Fault, sentStructured: boolean): boolean {
    if (!fault.details.unstructured || !sentStructured) return false;
    if (this.#structured) this.emit({ type: 'unstructured' });
    this.#structured = false;
    return true;
  }

  /** Whether the next body will carry the schema as response_format. */
  get structured(): boolean {
    return this.#structured;
  }

  /** The request as the endpoint takes it. */
  bodyOf(request: LlmRequest<unknown>, correction?: Correction): ChatCompletionCreateParamsNonStreaming {
    const { system, text, image, schema, seed } = request;
    const { model, temperature } = this.sampling;
    const { maxOutputTokens } = this.#options;
    const form = `Reply with one JSON object of this JSON schema, and nothing else:\n${JSON.stringify(schema.json)}`;
    const url = image && `data:image/jpeg;base64,${Buffer.from(image).toString('base64')}`;
    return {
      model,
      messages: [
        { role: 'system', content: this.#structured ? system : `${system}\n\n${form}` },
        {
          role: 'user',
          content: url
            ? [
                { type: 'image_url', image_url: { url } },
                { type: 'text', text },
              ]
            : text,
        },
        ...(correction?.answer ? [{ role: 'assistant' as const, content: correction.answer }] : []),
        ...(correction
          ? [
              {
                role: 'user' as const,
                content: `Your last reply could not be used: ${correction.complaint}. Reply again, with JSON of the schema alone.`,
              },
            ]
          : []),
      ],
      ...(temperature !== undefined && { temperature }),
      ...(seed !== undefined && { seed }),
      ...(maxOutputTokens !== undefined && { max_completion_tokens: maxOutputTokens }),
      ...(this.#structured && {
        response_format: {
          type: 'json_schema' as const,
          json_schema: { name: schema.name, schema: schema.json, strict: true },
        },
      }),
    };
  }

  async #obtain<T>(request: LlmRequest<T>, signal: AbortSignal): Promise<T> {
    const kept = await this.kept(request);
    if (kept !== undefined) return kept;
    const { store } = this.#options;
    if (!store.exclusively) return this.#ask(request, signal);
    const ask = async () => {
      // a worker whose lease ran out may have asked until now
      const meanwhile = await this.kept(request);
      return meanwhile === undefined ? this.#ask(request, signal) : meanwhile;
    };
    return store.exclusively(request.key, ask, signal);
  }

  /** Asks for what is not kept. */
  async #ask<T>(request: LlmRequest<T>, signal: AbortSignal): Promise<T> {
    const givenUp = this.#givenUp.get(request.key) ?? (await this.#keptLetter(request));
    if (givenUp) throw new LlmItemError(givenUp, `${request.schema.name} as JSON`);
    if (this.#options.ask === 'batch') throw new LlmPending(request);
    const tries: Tries = { attempts: 0, refusals: 0 };
    let correction: Correction | undefined;
    /** Counts bodies answered: an endpoint that keeps answers by key must not give the same one again. */
    let answered = 0;
    for (;;) {
      const sentStructured = this.#structured;
      try {
        const body = this.bodyOf(request, correction);
        const idempotencyKey = answered === 0 ? request.key : `${request.key}-${answered}`;
        const completion = await this.traffic.send(
          (sending) =>
            this.client.chat.completions.create(body, {
              signal: sending,
              headers: { 'Idempotency-Key': idempotencyKey },
            }),
          this.#timeoutMs,
          signal,
        );
        answered++;
        this.#rejectedInRow = 0;
        return await this.accept(request, completion);
      } catch (fault) {
        if (!(fault instanceof Fault)) throw fault;
        if (this.withoutFormat(fault, sentStructured)) {
          answered++;
          continue;
        }
        countTry(tries, fault);
        if (fault.reason === 'rejected') this.#countRejected(fault);
        if (!mayRetry(fault, tries, this.maxRetries)) {
          const letter = this.bury(request, fault, tries.attempts);
          await this.#keepLetter(request, letter, isAnswer(fault));
          throw new LlmItemError(letter, `${request.schema.name} as JSON`);
        }
        const { complaint, answer } = fault.details;
        if (complaint) correction = { complaint, ...(answer && { answer }) };
        await this.#backOff(request, fault, tries.attempts, signal);
      }
    }
  }

  /** Letter of another worker of this run, or of an earlier run. */
  async #keptLetter({ key, asking }: LlmRequest<unknown>): Promise<DeadLetter | undefined> {
    const names = [...(asking ? [letterName(key, asking.run)] : []), ...(asking?.again ? [] : [letterName(key)])];
    for (const name of names) {
      const { data } = letterSchema.safeParse(await this.#options.store.get(name));
      if (!data) continue;
      if (!this.#deadLetters.has(key)) this.#report(data);
      return data;
    }
    return undefined;
  }

  async #keepLetter({ key, asking }: LlmRequest<unknown>, letter: DeadLetter, forGood: boolean): Promise<void> {
    if (asking) await this.#keep(letterName(key, asking.run), letter);
    if (forGood) await this.#keep(letterName(key), letter);
  }

  async #backOff(request: LlmRequest<unknown>, fault: Fault, attempt: number, signal: AbortSignal): Promise<void> {
    const { key, faceId, task } = request;
    const asked = Math.min(fault.details.retryAfterMs ?? 0, this.#maxPauseMs);
    const delayMs = Math.max(asked, backoffMs(key, attempt));
    const { reason, status } = fault;
    this.emit({ type: 'retry', key, faceId, task, reason, attempt, delayMs, status });
    await this.traffic.sleep(delayMs, signal);
  }

  /** @throws LlmRunError when no request is taken any more. */
  #countRejected({ status, details }: Fault): void {
    if (++this.#rejectedInRow < maxRejectedInRow) return;
    const got = `${maxRejectedInRow} rejected in a row (${[status, details.code].filter(Boolean).join(' ')})`;
    throw this.traffic.stop(
      new LlmRunError(
        `llm: expected model "${this.sampling.model}" to take requests, got ${got}; try a model that takes images, without temperature, seed or maxOutputTokens`,
        status,
      ),
    );
  }

  #count({ key, task }: LlmRequest<unknown>, usage: TokenUsage, priceFactor: number): void {
    const price = this.#options.pricePerMillionTokens ?? { input: 0, output: 0 };
    const cost = (priceFactor * (usage.inputTokens * price.input + usage.outputTokens * price.output)) / 1e6;
    this.#tally.replies++;
    this.#tally.inputTokens += usage.inputTokens;
    this.#tally.outputTokens += usage.outputTokens;
    this.#tally.cost += cost;
    this.emit({ type: 'usage', key, task, usage, cost, total: this.tally });
  }
}

/** Key of a dead letter beside the results: one for good, or for one run of a build. */
function letterName(key: string, run?: string): string {
  return `${key} given up${run === undefined ? '' : ` in ${run}`}`;
}

function atLeast(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw new RangeError(`llm: expected ${name} to be an integer of at least ${least}, got ${value}`);
}
