import { isUtf8 } from 'node:buffer';
import { setImmediate } from 'node:timers/promises';
import { ApiError, invalid } from './errors.ts';
import { limits } from './schemas/common.ts';

/** Counts bytes of a body as they arrive. @throws ApiError 429 */
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
          throw new ApiError(429, 'queue_full', 'the server holds too many uploads; try later', {
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

/**
 * The whole body, its length checked before and while it is read.
 * @throws ApiError 413 for a body above the limit, 429 when the budget is spent.
 */
async function readBody(request: Request, take: TakeBytes): Promise<Buffer> {
  if (Number(request.headers.get('content-length') ?? 0) > limits.bodyBytes) throw tooLarge();
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const part of (request.body ?? []) as AsyncIterable<Uint8Array>) {
      if (bytes + part.length > limits.bodyBytes) throw tooLarge();
      take(part.length);
      bytes += part.length;
      parts.push(part);
    }
    const body = Buffer.concat(parts, bytes);
    // each look at many megabytes takes a turn of its own
    await setImmediate();
    return body;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw invalid(null, 'the body ended before its end', 'incomplete_body');
  }
}

const maxStructureBytes = 64 * 1024;

/** Whether more than so many bytes are outside of strings: a body of millions of brackets would block while it is parsed. */
function isOverstructured(json: Buffer): boolean {
  let structure = 0;
  for (let at = 0; at < json.length; ) {
    const quote = json.indexOf(0x22, at);
    structure += (quote < 0 ? json.length : quote) - at;
    if (structure > maxStructureBytes) return true;
    if (quote < 0) return false;
    let end = json.indexOf(0x22, quote + 1);
    while (end > 0 && isEscaped(json, end)) end = json.indexOf(0x22, end + 1);
    if (end < 0) return false;
    structure += 2;
    at = end + 1;
  }
  return false;
}

function isEscaped(json: Buffer, quote: number): boolean {
  let slashes = 0;
  // strings of backslashes alone are no picture: a short look back is enough
  for (let at = quote - 1; at >= 0 && slashes < 4096 && json[at] === 0x5c; at--) slashes++;
  return slashes % 2 === 1;
}

function contentType(request: Request): string {
  return (request.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase();
}

function unsupported(expected: string): ApiError {
  return new ApiError(415, 'unsupported_media_type', `content-type: expected ${expected}, got another`, {
    param: 'content-type',
  });
}

/** @throws ApiError */
export async function readJson(request: Request, take: TakeBytes): Promise<unknown> {
  if (contentType(request) !== 'application/json') throw unsupported('application/json');
  const body = await readBody(request, take);
  if (isOverstructured(body))
    throw invalid(null, 'expected a small JSON document, got one of too many parts', 'invalid_json');
  if (!isUtf8(body)) throw invalid(null, 'expected JSON: its bytes are no UTF-8', 'invalid_json');
  const text = body.toString('utf8').replace(/^\uFEFF/, '');
  await setImmediate();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(null, `expected JSON: ${(error as Error).message.slice(0, 100)}`, 'invalid_json');
  }
}

const maxFormParts = 40;

export interface Form {
  fields: Record<string, string>;
  files: Record<string, Uint8Array>;
}

/** A multipart form; a name may be given once. @throws ApiError */
export async function readForm(request: Request, take: TakeBytes): Promise<Form> {
  if (contentType(request) !== 'multipart/form-data') throw unsupported('multipart/form-data');
  const type = request.headers.get('content-type')!;
  const body = await readBody(request, take);
  if (partsOf(body, type) > maxFormParts)
    throw invalid(null, `expected a form of at most ${maxFormParts} parts, got more`, 'invalid_form');
  const parsed = await new Response(body, { headers: { 'Content-Type': type } }).formData().catch(() => {
    throw invalid(null, 'expected a complete multipart/form-data body', 'invalid_form');
  });
  await setImmediate();
  const form: Form = { fields: Object.create(null), files: Object.create(null) };
  for (const [name, value] of parsed.entries()) {
    if (name in form.fields || name in form.files) throw invalid(name.slice(0, 40), 'expected once, got it twice');
    if (typeof value === 'string') form.fields[name] = value;
    else form.files[name] = new Uint8Array(await value.arrayBuffer());
  }
  return form;
}

function partsOf(body: Buffer, type: string): number {
  const boundary = /boundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))/i.exec(type);
  if (!boundary) throw invalid(null, 'expected a boundary in the content type', 'invalid_form');
  const mark = Buffer.from(`--${boundary[1] ?? boundary[2]}`);
  let parts = 0;
  for (let at = body.indexOf(mark); at >= 0 && parts <= maxFormParts + 1; at = body.indexOf(mark, at + mark.length))
    parts++;
  return parts;
}
