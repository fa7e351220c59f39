import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { z } from 'zod';
import { Fault, faultOfStatus } from './faults.ts';

const errorSchema = z.object({
  code: z.string().nullish().catch(null),
  param: z.string().nullish().catch(null),
  message: z.string().catch(''),
});

const lineSchema = z.object({
  custom_id: z.string(),
  response: z.object({ status_code: z.number().int(), body: z.unknown() }).nullish(),
  error: errorSchema.nullish(),
});

/** Result of one request of a batch: a chat completion, or why there is none. */
export interface BatchLine {
  key: string;
  outcome: { completion: unknown } | { fault: Fault };
}

/** Lines of a batch's output or error file; a line that cannot be read is left out, as if its request had expired. */
export async function* readBatchLines(body: ReadableStream<Uint8Array>): AsyncGenerator<BatchLine> {
  const source = Readable.fromWeb(body);
  const lines = createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY });
  let broken: unknown;
  // readline ends as if all were well when its source breaks
  source.once('error', (error) => {
    broken = error;
    lines.close();
  });
  for await (const text of lines) {
    const line = parseLine(text);
    if (line) yield line;
  }
  if (broken) throw broken;
}

function parseLine(text: string): BatchLine | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { data: line } = lineSchema.safeParse(json);
  if (!line) return undefined;
  const key = line.custom_id;
  if (line.response?.status_code === 200) return { key, outcome: { completion: line.response.body } };
  if (line.response) {
    const error = z.object({ error: errorSchema }).safeParse(line.response.body);
    return { key, outcome: { fault: faultOfStatus(line.response.status_code, error.data?.error ?? {}) } };
  }
  return { key, outcome: { fault: new Fault(line.error?.code === 'batch_expired' ? 'expired' : 'server') } };
}
