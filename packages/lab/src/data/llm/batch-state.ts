import { readFile } from 'node:fs/promises';
import { writeFileAtomic } from '@unif2ace/core/node';
import { z } from 'zod';
import { LlmRunError } from './faults.ts';

/** A dead letter as it is kept. */
export const letterSchema = z.object({
  key: z.string(),
  faceId: z.string(),
  task: z.string(),
  reason: z.enum([
    'server',
    'timeout',
    'connection',
    'prose',
    'schema',
    'empty',
    'cut-off',
    'refused',
    'rejected',
    'expired',
  ]),
  attempts: z.number().int(),
  status: z.number().int().nullable(),
  code: z.string().nullable(),
});

const batchSchema = z.object({
  /** Our own name, in the batch's metadata: finds a batch that was created just before a crash. */
  clientKey: z.string(),
  /** Keys of the requests in it. */
  keys: z.array(z.string()),
  /** Absent: meant to be created, perhaps was. */
  batchId: z.string().optional(),
  createdMs: z.number(),
  /** Sent with response_format. */
  structured: z.boolean(),
});

const stateSchema = z.object({
  version: z.literal(1),
  model: z.string(),
  /** Batches not collected yet. */
  batches: z.array(batchSchema),
  /** Failed attempts by request key; holds nothing of an answer. */
  tries: z.record(
    z.string(),
    z.object({ attempts: z.number(), refusals: z.number(), complaint: z.string().optional() }),
  ),
  deadLetters: z.array(letterSchema),
});

/** What is known of batches on their way: small, without prompts, images or answers. */
export type BatchState = z.infer<typeof stateSchema>;
export type SubmittedBatch = z.infer<typeof batchSchema>;

/** @throws LlmRunError when the file is no state, or that of another model. */
export async function readBatchState(path: string, model: string): Promise<BatchState> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return { version: 1, model, batches: [], tries: {}, deadLetters: [] };
  }
  const state = stateSchema.safeParse(tryJson(text));
  if (!state.success)
    throw new LlmRunError(`batch: expected a batch state of version 1 in ${path}, got another file; try another path`);
  if (state.data.model !== model)
    throw new LlmRunError(
      `batch: expected ${path} to belong to model "${model}", got "${state.data.model}"; try one state file per model`,
    );
  return state.data;
}

export async function saveBatchState(path: string, state: BatchState): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(state, null, 1)}\n`);
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
