import { APIError } from 'openai';
import type { LlmRequest } from './request.ts';

/** Why a request gave no usable answer. */
export type FaultReason =
  /** 5xx, 408, 409, or a body that is no chat completion. */
  | 'server'
  | 'timeout'
  | 'connection'
  /** The answer is not JSON. */
  | 'prose'
  /** JSON, but not what was asked for. */
  | 'schema'
  | 'empty'
  /** The answer reached the token limit. */
  | 'cut-off'
  | 'refused'
  /** 4xx about this one request: sending it again would not help. */
  | 'rejected'
  /** The batch ended before its turn. */
  | 'expired';

/** An item that was given up. */
export interface DeadLetter {
  key: string;
  faceId: string;
  task: string;
  reason: FaultReason;
  attempts: number;
  /** HTTP status of the last response; null when there was none. */
  status: number | null;
  /** The endpoint's word for what it rejected, as "unsupported_value temperature"; null without one. */
  code: string | null;
}

/** One request could not be answered; the run goes on. */
export class LlmItemError extends Error {
  override readonly name = 'LlmItemError';
  readonly letter: DeadLetter;

  constructor(letter: DeadLetter, expected: string) {
    const status =
      letter.status === null ? 'no response' : `status ${letter.status}${letter.code ? ` ${letter.code}` : ''}`;
    super(
      `${letter.task} of face ${letter.faceId}: expected ${expected}, got "${letter.reason}" (${status}) after ` +
        `${letter.attempts} attempt${letter.attempts === 1 ? '' : 's'}; ${advice[letter.reason]}`,
    );
    this.letter = letter;
  }
}

/** The request waits for a batch: nothing was sent. */
export class LlmPending extends Error {
  override readonly name = 'LlmPending';
  readonly request: LlmRequest<unknown>;

  constructor(request: LlmRequest<unknown>) {
    super(`${request.task} of face ${request.faceId} waits for a batch`);
    this.request = request;
  }
}

/** The run cannot go on: no request is sent any more. */
export class LlmRunError extends Error {
  override readonly name = 'LlmRunError';
  /** HTTP status that ended the run; null when it was none. */
  readonly status: number | null;

  constructor(message: string, status: number | null = null) {
    super(message);
    this.status = status;
  }
}

const advice: Record<FaultReason, string> = {
  server: 'try again later',
  timeout: 'try a larger timeoutMs or a lower concurrency',
  connection: 'try again later',
  prose: 'try a model that follows JSON schemas',
  schema: 'try a model that follows JSON schemas',
  empty: 'try another model',
  'cut-off': 'try a larger maxOutputTokens',
  refused: 'try another model, or leave the face out',
  rejected: 'try a model that takes images and these parameters',
  expired: 'try a smaller batch',
};

interface FaultDetails {
  status?: number | null;
  code?: string;
  /** Least time until another attempt, by the server's word. */
  retryAfterMs?: number;
  /** What is wrong with the answer, in words for the model; holds nothing of the answer. */
  complaint?: string;
  /** The answer as received, for the model to correct; never kept or logged. */
  answer?: string;
  /** The endpoint does not know response_format. */
  unstructured?: boolean;
}

/** One attempt that failed. */
export class Fault extends Error {
  readonly reason: FaultReason;
  readonly details: FaultDetails;

  constructor(reason: FaultReason, details: FaultDetails = {}) {
    super(reason);
    this.reason = reason;
    this.details = details;
  }

  get status(): number | null {
    return this.details.status ?? null;
  }
}

/** Whether the endpoint had its say: asking again costs again and changes little. No response or a failing server says nothing. */
export function isAnswer({ reason, status }: Fault): boolean {
  return status !== null && (reason !== 'server' || status === 200);
}

/** Attempts made on one item. */
export interface Tries {
  attempts: number;
  refusals: number;
}

export function countTry(tries: Tries, fault: Fault): void {
  tries.attempts++;
  if (fault.reason === 'refused') tries.refusals++;
}

/** Whether another attempt makes sense after the ones made. */
export function mayRetry(fault: Fault, tries: Tries, maxRetries: number): boolean {
  if (fault.reason === 'rejected') return false;
  // A model that refused twice refuses ever after
  if (fault.reason === 'refused' && tries.refusals > 1) return false;
  return tries.attempts <= maxRetries;
}

/** Time until the moment a Retry-After header names (seconds or HTTP date); undefined without a readable one. */
function retryAfterMs(headers: Headers | undefined, nowMs: number): number | undefined {
  const exact = Number(headers?.get('retry-after-ms') ?? Number.NaN);
  if (exact >= 0) return exact;
  const value = headers?.get('retry-after');
  if (!value) return undefined;
  const seconds = Number(value);
  if (seconds >= 0) return seconds * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

/** 429: everything waits. */
export class RateLimited extends Error {
  readonly retryAfterMs: number | undefined;

  constructor(retryAfterMs: number | undefined) {
    super('rate limited');
    this.retryAfterMs = retryAfterMs;
  }
}

interface Endpoint {
  /** Without credentials. */
  url: string;
  model: string;
  nowMs: number;
}

/**
 * What an error thrown by the client means. The server's own message is left out: it may quote the prompt or the API key.
 */
export function classifyError(error: unknown, endpoint: Endpoint): Fault | RateLimited | LlmRunError {
  if (!(error instanceof APIError) || error.status === undefined) return new Fault('connection');
  const { status, headers, code } = error;
  const wait = retryAfterMs(headers, endpoint.nowMs);
  if (status === 401 || status === 403)
    return new LlmRunError(
      `llm: expected ${endpoint.url} to accept the API key, got ${status}; try another apiKey`,
      status,
    );
  if (status === 402 || (status === 429 && code === 'insufficient_quota'))
    return new LlmRunError(
      `llm: expected credit at ${endpoint.url}, got ${status}${code ? ` ${code}` : ''}; try again after topping up`,
      status,
    );
  if (status === 404)
    return new LlmRunError(
      `llm: expected ${endpoint.url} to serve model "${endpoint.model}", got 404; try a model and a baseURL that exist`,
      status,
    );
  if (status === 429) return new RateLimited(wait);
  if (status >= 500 || status === 408 || status === 409)
    return new Fault('server', { status, ...(wait !== undefined && { retryAfterMs: wait }) });
  return faultOfStatus(status, { code, param: error.param, message: error.message });
}

/** A 4xx about one request, as a response or as a line of a batch. */
export function faultOfStatus(
  status: number,
  error: { code?: string | null | undefined; param?: string | null | undefined; message?: string | undefined },
): Fault {
  if (status >= 500 || status === 408 || status === 409 || status === 429) return new Fault('server', { status });
  if (/content_(?:policy|filter)/.test(error.code ?? '')) return new Fault('refused', { status });
  const named = /response_format|json_schema/.test(`${error.param} ${error.message}`);
  const unstructured = (status === 400 || status === 422) && named;
  // Names only: a sentence may quote the prompt
  const names = [error.code, error.param].filter((name) => name && /^[\w.[\]-]{1,64}$/.test(name));
  return new Fault('rejected', { status, unstructured, ...(names.length > 0 && { code: names.join(' ') }) });
}
