import type { BodyThread } from './body-thread.ts';
import { ApiError, invalid } from './errors.ts';
import { type Form, parseForm, parseJson } from './parse-body.ts';
import { limits } from './schemas/common.ts';

/** Counts bytes as room is made for them. @throws ApiError 429 */
export type TakeBytes = (bytes: number) => void;

/** Bytes of bodies held at the same time, so that many uploads cannot fill the memory. */
export class BodyBudget {
  readonly #totalBytes: number;
  #heldBytes = 0;

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes;
  }

  /** Runs work that reads a body; what it took is free again when it ends. */
  async hold<T>(work: (take: TakeBytes) => Promise<T>): Promise<T> {
    let held = 0;
    try {
      return await work((bytes) => {
        if (this.#heldBytes + bytes > this.#totalBytes)
          throw new ApiError(429, 'queue_full', 'the server holds too many bodies; try later', {
            retryAfterSeconds: 2,
          });
        this.#heldBytes += bytes;
        held += bytes;
      });
    } finally {
      this.#heldBytes -= held;
    }
  }
}

function tooLarge(): ApiError {
  const expected = `${limits.bodyBytes / 2 ** 20} MiB`;
  // what is left of the body would be read as the next request
  const headers = { Connection: 'close' };
  return new ApiError(413, 'body_too_large', `expected a body of at most ${expected}, got more`, { headers });
}

/** Room of a body at first. */
const firstBytes = 16 * 1024;

/**
 * The whole body, its length checked before and while it is read.
 * @throws ApiError 413 for a body above the limit, 429 when the budget is spent.
 */
async function readBody(request: Request, take: TakeBytes): Promise<Uint8Array<ArrayBuffer>> {
  const told = Number(request.headers.get('content-length') ?? 0);
  if (told > limits.bodyBytes) throw tooLarge();
  // filled as it comes, in room that grows with it: what a head promises is not reserved
  let body = new Uint8Array(0);
  let bytes = 0;
  try {
    for await (const part of (request.body ?? []) as AsyncIterable<Uint8Array>) {
      if (bytes + part.length > limits.bodyBytes) throw tooLarge();
      if (bytes + part.length > body.length) {
        const larger = new Uint8Array(Math.min(limits.bodyBytes, Math.max(firstBytes, 2 * (bytes + part.length))));
        take(larger.length - body.length);
        larger.set(body.subarray(0, bytes));
        body = larger;
      }
      body.set(part, bytes);
      bytes += part.length;
    }
    return body.subarray(0, bytes);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw invalid(null, 'the body ended before its end', 'incomplete_body');
  }
}

function contentType(request: Request): string {
  return (request.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase();
}

function unsupported(expected: string): ApiError {
  return new ApiError(415, 'unsupported_media_type', `content-type: expected ${expected}, got another`, {
    param: 'content-type',
  });
}

/** Bodies up to this size are read here, which takes less than a millisecond. */
const smallBytes = 64 * 1024;

/** A document in which long pictures are bytes instead of data URLs. @throws ApiError */
export async function readJson(bodies: BodyThread, request: Request, take: TakeBytes): Promise<unknown> {
  if (contentType(request) !== 'application/json') throw unsupported('application/json');
  const body = await readBody(request, take);
  return body.length <= smallBytes ? parseJson(body).document : bodies.json(body);
}

/** A multipart form; a name may be given once. @throws ApiError */
export async function readForm(bodies: BodyThread, request: Request, take: TakeBytes): Promise<Form> {
  if (contentType(request) !== 'multipart/form-data') throw unsupported('multipart/form-data');
  const type = request.headers.get('content-type')!;
  const body = await readBody(request, take);
  return body.length <= smallBytes ? parseForm(body, type) : bodies.form(body, type);
}
