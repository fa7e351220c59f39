import { randomUUID } from 'node:crypto';
import { type OpenAI, toFile } from 'openai';
import { readBatchLines } from './batch-lines.ts';
import { type BatchState, readBatchState, type SubmittedBatch, saveBatchState } from './batch-state.ts';
import { backoffMs } from './clock.ts';
import type { LlmEndpoint } from './endpoint.ts';
import { countTry, type DeadLetter, Fault, LlmRunError, mayRetry } from './faults.ts';
import type { LlmRequest } from './request.ts';

export interface BatchOptions {
  /** JSON file that remembers what was submitted; one per endpoint and model. */
  statePath: string;
  /** Most requests in a batch; default 50,000, the most that OpenAI takes. */
  maxRequests?: number;
  /** Most bytes in a batch's file; default 100 MB (OpenAI takes 200 MB). */
  maxBytes?: number;
  /** Price of a batch over that of single requests; default ½. */
  priceFactor?: number;
  /** For one upload or download; default ten minutes. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** Gone through more than once; a generator need hold no more than one image at a time. */
export type BatchRequests = () => AsyncIterable<LlmRequest<unknown>> | Iterable<LlmRequest<unknown>>;

export type BatchProgress =
  | { status: 'pending'; batches: number; requests: number }
  | { status: 'done'; results: Map<string, unknown>; deadLetters: DeadLetter[] };

const metadataName = 'unif2ace_batch';
const defaultTimeoutMs = 600_000;
/** How far clocks may be apart when an earlier batch is looked for. */
const clockSlackMs = 86_400_000;

/**
 * Submits requests to be answered within a day; returns the state, which is also in the file. Requests that are already
 * answered, on their way or given up are left out, so that it can be called again with the same requests after a crash:
 * what was submitted is found again by the batch's metadata. To ask again for what was given up, use a new state file.
 *
 * @throws LlmRunError when the run cannot go on.
 */
export async function submitBatch(
  endpoint: LlmEndpoint,
  requests: BatchRequests,
  options: BatchOptions,
): Promise<BatchState> {
  const { statePath, maxRequests = 50_000, maxBytes = 100_000_000, signal } = options;
  const state = await readBatchState(statePath, endpoint.sampling.model);
  await findCreated(endpoint, state, options);
  const settled = new Set([...state.batches.flatMap(({ keys }) => keys), ...state.deadLetters.map(({ key }) => key)]);
  let lines: { key: string; line: Buffer }[] = [];
  let bytes = 0;
  const flush = async () => {
    if (lines.length > 0) await create(endpoint, state, lines, options);
    lines = [];
    bytes = 0;
  };
  for await (const request of requests()) {
    signal?.throwIfAborted();
    const { key } = request;
    if (settled.has(key)) continue;
    settled.add(key);
    if ((await endpoint.kept(request)) !== undefined) continue;
    const complaint = state.tries[key]?.complaint;
    const body = endpoint.bodyOf(request, complaint === undefined ? undefined : { complaint });
    const line = Buffer.from(
      `${JSON.stringify({ custom_id: key, method: 'POST', url: '/v1/chat/completions', body })}\n`,
    );
    if (bytes + line.length > maxBytes || lines.length >= maxRequests) await flush();
    lines.push({ key, line });
    bytes += line.length;
  }
  await flush();
  return state;
}

/**
 * Looks after submitted batches: keeps the results of those that have ended, and submits again what failed, as often as
 * single requests are retried. Pass the requests that were submitted. When all is done, `results` has what was answered
 * by request key, and the captioner finds it in the store.
 */
export async function collectBatch(
  endpoint: LlmEndpoint,
  requests: BatchRequests,
  options: BatchOptions,
): Promise<BatchProgress> {
  const { statePath } = options;
  const state = await readBatchState(statePath, endpoint.sampling.model);
  await findCreated(endpoint, state, options);
  const all = new Map<string, LlmRequest<unknown>>();
  for await (const { image: _, ...request } of requests()) all.set(request.key, request);
  let ended = false;
  for (const submitted of [...state.batches]) {
    const batch = await control(endpoint, options, (signal) =>
      endpoint.client.batches.retrieve(submitted.batchId!, { signal }),
    );
    if (!['completed', 'expired', 'cancelled', 'failed'].includes(batch.status)) continue;
    if (batch.status !== 'failed') await collectEnded(endpoint, state, submitted, batch, all, options);
    state.batches = state.batches.filter((other) => other !== submitted);
    await saveBatchState(statePath, state);
    if (batch.status === 'failed')
      throw new LlmRunError(
        `batch: expected ${batch.id} to be taken, got "failed" (${batch.errors?.data?.[0]?.code ?? 'no code'}); try smaller batches`,
      );
    ended = true;
  }
  if (ended) state.batches = (await submitBatch(endpoint, requests, options)).batches;
  if (state.batches.length > 0) {
    const waiting = state.batches.reduce((sum, { keys }) => sum + keys.length, 0);
    return { status: 'pending', batches: state.batches.length, requests: waiting };
  }
  const results = new Map<string, unknown>();
  for (const request of all.values()) {
    const value = await endpoint.kept(request);
    if (value !== undefined) results.set(request.key, value);
  }
  return { status: 'done', results, deadLetters: state.deadLetters.filter(({ key }) => all.has(key)) };
}

/** Completes the state after a crash between creating a batch and saving its id; what was never created is dropped. */
async function findCreated(endpoint: LlmEndpoint, state: BatchState, options: BatchOptions): Promise<void> {
  const unsure = state.batches.filter(({ batchId }) => batchId === undefined);
  if (unsure.length === 0) return;
  for (const submitted of unsure) {
    const batch = await findBatch(endpoint, submitted, options);
    if (batch) submitted.batchId = batch.id;
  }
  state.batches = state.batches.filter(({ batchId }) => batchId !== undefined);
  await saveBatchState(options.statePath, state);
}

async function create(
  endpoint: LlmEndpoint,
  state: BatchState,
  lines: { key: string; line: Buffer }[],
  options: BatchOptions,
): Promise<void> {
  const submitted: SubmittedBatch = {
    clientKey: randomUUID(),
    keys: lines.map(({ key }) => key),
    createdMs: endpoint.clock.nowMs(),
    structured: endpoint.structured,
  };
  const content = Buffer.concat(lines.map(({ line }) => line));
  const file = await control(endpoint, options, async (signal) =>
    endpoint.client.files.create(
      { file: await toFile(content, `${submitted.clientKey}.jsonl`), purpose: 'batch' },
      { signal, headers: { 'Idempotency-Key': `${submitted.clientKey}-file` } },
    ),
  );
  // From here on a batch may exist
  state.batches.push(submitted);
  await saveBatchState(options.statePath, state);
  let again = false;
  const batch = await control(endpoint, options, async (signal) => {
    // The answer to an earlier attempt may have been lost
    const created = again ? await listed(endpoint, submitted, signal) : undefined;
    again = true;
    return (
      created ??
      (await endpoint.client.batches.create(
        {
          input_file_id: file.id,
          endpoint: '/v1/chat/completions',
          completion_window: '24h',
          metadata: { [metadataName]: submitted.clientKey },
        },
        { signal, headers: { 'Idempotency-Key': submitted.clientKey } },
      ))
    );
  });
  submitted.batchId = batch.id;
  await saveBatchState(options.statePath, state);
  endpoint.emit({ type: 'batch-submitted', batchId: batch.id, items: lines.length });
}

const findBatch = (endpoint: LlmEndpoint, submitted: SubmittedBatch, options: BatchOptions) =>
  control(endpoint, options, (signal) => listed(endpoint, submitted, signal));

async function listed(
  endpoint: LlmEndpoint,
  { clientKey, createdMs }: SubmittedBatch,
  signal: AbortSignal,
): Promise<OpenAI.Batch | undefined> {
  // Newest first
  for await (const batch of endpoint.client.batches.list({ limit: 100 }, { signal })) {
    if (batch.metadata?.[metadataName] === clientKey) return batch;
    if (batch.created_at * 1000 < createdMs - clockSlackMs) return undefined;
  }
  return undefined;
}

async function collectEnded(
  endpoint: LlmEndpoint,
  state: BatchState,
  submitted: SubmittedBatch,
  batch: OpenAI.Batch,
  all: ReadonlyMap<string, LlmRequest<unknown>>,
  options: BatchOptions,
): Promise<void> {
  const faults = new Map<string, Fault>(submitted.keys.map((key) => [key, new Fault('expired')]));
  const seen = new Set<string>();
  for (const fileId of [batch.output_file_id, batch.error_file_id]) {
    if (!fileId) continue;
    await control(endpoint, options, async (signal) => {
      const { body } = await endpoint.client.files.content(fileId, { signal });
      if (!body) return;
      for await (const { key, outcome } of readBatchLines(body as Parameters<typeof readBatchLines>[0])) {
        const request = all.get(key);
        if (!request || !faults.has(key) || seen.has(key)) continue;
        seen.add(key);
        // Kept before a crash
        if ((await endpoint.kept(request)) !== undefined) {
          faults.delete(key);
          continue;
        }
        const fault = 'fault' in outcome ? outcome.fault : await settle(endpoint, request, outcome.completion, options);
        if (fault) faults.set(key, fault);
        else faults.delete(key);
      }
    });
  }
  for (const [key, fault] of faults) {
    const request = all.get(key);
    if (!request || endpoint.withoutFormat(fault, submitted.structured)) continue;
    const tries = state.tries[key] ?? { attempts: 0, refusals: 0 };
    countTry(tries, fault);
    state.tries[key] = { ...tries, ...(fault.details.complaint && { complaint: fault.details.complaint }) };
    if (mayRetry(fault, tries, endpoint.maxRetries)) continue;
    state.deadLetters.push(endpoint.bury(request, fault, tries.attempts));
  }
}

/** Keeps the answer of one line; the fault when it cannot be used. */
async function settle(
  endpoint: LlmEndpoint,
  request: LlmRequest<unknown>,
  completion: unknown,
  { priceFactor = 0.5 }: BatchOptions,
): Promise<Fault | undefined> {
  try {
    await endpoint.accept(request, completion, priceFactor);
    return undefined;
  } catch (fault) {
    if (fault instanceof Fault) return fault;
    throw fault;
  }
}

/** A call to the batch service itself, retried as requests are; giving up ends the run, not the batch. */
async function control<T>(
  endpoint: LlmEndpoint,
  { timeoutMs = defaultTimeoutMs, signal }: BatchOptions,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await endpoint.traffic.send(call, timeoutMs, signal);
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      if (fault.reason === 'rejected' || attempt > endpoint.maxRetries)
        throw new LlmRunError(
          `batch: expected the endpoint to serve batches, got "${fault.reason}" (${fault.status ?? 'no response'}) after ` +
            `${attempt} attempt${attempt === 1 ? '' : 's'}; try again later, what was submitted is not lost`,
          fault.status,
        );
      await endpoint.traffic.sleep(Math.max(backoffMs('batch', attempt), fault.details.retryAfterMs ?? 0), signal);
    }
  }
}
