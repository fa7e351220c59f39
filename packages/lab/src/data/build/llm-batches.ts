import { type BatchOptions, collectBatch, submitBatch } from '../llm/batch.ts';
import { readBatchState } from '../llm/batch-state.ts';
import type { LlmEndpoint } from '../llm/endpoint.ts';
import { LlmItemError, LlmPending } from '../llm/faults.ts';
import type { LlmRequest } from '../llm/request.ts';
import { ensureFace, type FaceTask, type Tools } from './ensure.ts';
import { inOrder } from './worker-pool.ts';

export interface BatchMode {
  /** One that asks in batches. */
  endpoint: LlmEndpoint;
  options: BatchOptions;
}

/** Requests are with the endpoint: the same build, run later, goes on. */
export class BatchesPending extends Error {
  override readonly name = 'BatchesPending';
  readonly requests: number;
  readonly batches: number;

  constructor(requests: number, batches: number) {
    super(
      `data build: ${requests} requests wait in ${batches} batch${batches === 1 ? '' : 'es'}; run the same command again later to go on`,
    );
    this.requests = requests;
    this.batches = batches;
  }
}

const facesUnderWay = 128;

/**
 * Has everything about the faces answered in batches: collects what has come, submits what is missing. A face takes up to
 * three rounds, since corrections and questions rest on captions. Crops of waiting faces are held in memory.
 * @throws BatchesPending while answers are awaited.
 */
export async function settleBatches(
  tasks: readonly FaceTask[],
  tools: Tools,
  { endpoint, options }: BatchMode,
  signal?: AbortSignal,
): Promise<void> {
  for (;;) {
    const { deadLetters } = await readBatchState(options.statePath, endpoint.sampling.model);
    endpoint.giveUp(deadLetters);
    const waiting = await missing(tasks, tools, signal);
    if (waiting.length === 0) return;
    await collectBatch(endpoint, () => waiting, options);
    const state = await submitBatch(endpoint, () => waiting, options);
    const awaited = new Set(state.batches.flatMap(({ keys }) => keys));
    // an answer, or its refusal, may open the way to further requests
    if (waiting.every(({ key }) => awaited.has(key))) throw new BatchesPending(awaited.size, state.batches.length);
  }
}

async function missing(tasks: readonly FaceTask[], tools: Tools, signal?: AbortSignal): Promise<LlmRequest<unknown>[]> {
  const described = inOrder(tasks, facesUnderWay, async (task) => {
    signal?.throwIfAborted();
    try {
      await ensureFace(task, tools, signal);
    } catch (error) {
      if (error instanceof LlmPending) return error.request;
      if (!(error instanceof LlmItemError)) throw error;
    }
    return undefined;
  });
  const found: LlmRequest<unknown>[] = [];
  for await (const request of described) if (request) found.push(request);
  return found;
}
