import { ApiError } from './errors.ts';

interface Bucket {
  tokens: number;
  atMs: number;
}

const maxClients = 10_000;

/** Token bucket of each client: `perMinute` requests a minute, a third of them at once. */
export class RateLimiter {
  readonly #perMinute: number;
  readonly #nowMs: () => number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(perMinute: number, nowMs: () => number = () => performance.now()) {
    this.#perMinute = perMinute;
    this.#nowMs = nowMs;
  }

  /** @throws ApiError 429 that says when to come back. */
  take(client: string): void {
    const burst = Math.max(1, Math.ceil(this.#perMinute / 3));
    const nowMs = this.#nowMs();
    const known = this.#buckets.get(client) ?? { tokens: burst, atMs: nowMs };
    const tokens = Math.min(burst, known.tokens + ((nowMs - known.atMs) * this.#perMinute) / 60_000);
    // the longest unseen goes first
    this.#buckets.delete(client);
    if (this.#buckets.size >= maxClients) this.#buckets.delete(this.#buckets.keys().next().value!);
    if (tokens < 1) {
      this.#buckets.set(client, { tokens, atMs: nowMs });
      const retryAfterSeconds = Math.ceil(((1 - tokens) * 60) / this.#perMinute);
      throw new ApiError(429, 'rate_limited', `expected at most ${this.#perMinute} requests a minute, got more`, {
        retryAfterSeconds,
      });
    }
    this.#buckets.set(client, { tokens: tokens - 1, atMs: nowMs });
  }
}
