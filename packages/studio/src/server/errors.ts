import type { z } from '@hono/zod-openapi';

export type ErrorType = 'invalid_request_error' | 'permission_error' | 'rate_limit_error' | 'server_error';

interface Details {
  param?: string | null;
  /** After this time the same request may succeed. */
  retryAfterSeconds?: number;
  type?: ErrorType;
  headers?: Record<string, string>;
}

function typeOf(status: number): ErrorType {
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

/** A failure in the API's form; the message is one line for the client. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  readonly type: ErrorType;
  readonly headers: Record<string, string>;

  constructor(status: number, code: string, message: string, details: Details = {}) {
    super(message.replace(/\s+/g, ' ').slice(0, 500));
    this.status = status;
    this.code = code;
    this.param = details.param ?? null;
    this.type = details.type ?? typeOf(status);
    const { retryAfterSeconds, headers } = details;
    this.headers = { ...headers, ...(retryAfterSeconds !== undefined && { 'Retry-After': `${retryAfterSeconds}` }) };
  }

  body(): { error: { message: string; type: ErrorType; param: string | null; code: string } } {
    const { message, type, param, code } = this;
    return { error: { message, type, param, code } };
  }

  response(): Response {
    return Response.json(this.body(), { status: this.status, headers: this.headers });
  }
}

export function invalid(param: string | null, message: string, code = 'invalid_value'): ApiError {
  return new ApiError(400, code, param === null ? message : `${param}: ${message}`, { param });
}

export const stopping = () =>
  new ApiError(503, 'stopping', 'the server is shutting down; try again later', { retryAfterSeconds: 5 });

/** A value as a message quotes it: short, and nothing of what a person wrote beyond its start. */
function shown(value: unknown): string {
  if (typeof value === 'string') return value.length > 40 ? `${value.length} characters` : JSON.stringify(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}

type Issue = z.core.$ZodIssue;

/** Of a union's branches the one that got furthest says best what is wrong. */
function deepest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue;
  const branches = issue.errors.flatMap((branch) => branch.slice(0, 1)).map(deepest);
  const furthest = branches.reduce<Issue | undefined>(
    (best, next) => (next.path.length > (best?.path.length ?? 0) ? next : best),
    undefined,
  );
  return furthest ? { ...furthest, path: [...issue.path, ...furthest.path] } : issue;
}

/** Checks a body. @throws ApiError naming the first field that is wrong, what was expected and got. */
export function parse<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = deepest(parsed.error.issues[0]!);
  if (issue.code === 'unrecognized_keys') {
    const path = [...issue.path, issue.keys[0]!].map(String);
    return refuse(path, 'expected a field of this API, got one that it does not have; see /openapi.json');
  }
  const got = issue.path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : value,
    body,
  );
  return refuse(issue.path.map(String), `${issue.message}; got ${shown(got)}`);
}

function refuse(path: readonly string[], message: string): never {
  const param = path.length === 0 ? null : path.join('.').slice(0, 100);
  throw invalid(param, message);
}
