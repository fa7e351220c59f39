import type { DeadLetter, FaultReason, LlmRunError } from './faults.ts';

export interface TokenUsage {
  inputTokens: number;
  outputTokens: number;
}

/** All replies of this run so far, usable or not: what the endpoint bills. */
export interface Tally extends TokenUsage {
  replies: number;
  /** In the currency of the prices; 0 without prices. */
  cost: number;
}

/** What happens while requests are sent. No event holds a prompt, an image or an answer. */
export type LlmEvent =
  | { type: 'usage'; key: string; task: string; usage: TokenUsage; cost: number; total: Tally }
  /** A result of an earlier run was used; `usage` was billed then. */
  | { type: 'reused'; key: string; task: string; usage: TokenUsage }
  /** The endpoint limits the rate: no request is sent until `untilMs`. */
  | { type: 'paused'; untilMs: number; forMs: number }
  | { type: 'resumed' }
  | {
      type: 'retry';
      key: string;
      faceId: string;
      task: string;
      reason: FaultReason;
      /** The attempt that failed, from 1. */
      attempt: number;
      delayMs: number;
      status: number | null;
    }
  /** The endpoint does not know response_format: from now on the schema is in the prompt alone. */
  | { type: 'unstructured' }
  | { type: 'dead-letter'; letter: DeadLetter }
  | { type: 'batch-submitted'; batchId: string; items: number }
  | { type: 'stopped'; error: LlmRunError };
