import { createHash, timingSafeEqual } from 'node:crypto';
import type { MiddlewareHandler } from 'hono';
import { ApiError } from './errors.ts';

export const loopbackHosts: readonly string[] = ['127.0.0.1', 'localhost', '::1'];

const loopbackHeader = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i;

/** On a loopback address a name of another kind could be anybody's that points here (DNS rebinding). Any port: tunnels. */
export const loopbackHostOnly: MiddlewareHandler = async (context, next) => {
  const host = context.req.header('host') ?? new URL(context.req.url).host;
  if (!loopbackHeader.test(host))
    throw new ApiError(403, 'host_refused', 'host: expected localhost, got another name; try http://127.0.0.1', {
      param: 'host',
    });
  await next();
};

/** Pages of other sites may not make a browser send what changes or costs something; without a browser there is no origin. */
export const sameOriginOnly: MiddlewareHandler = async (context, next) => {
  const { method } = context.req;
  if (method !== 'GET' && method !== 'HEAD') {
    const site = context.req.header('sec-fetch-site');
    const origin = context.req.header('origin');
    const own = context.req.header('host') ?? new URL(context.req.url).host;
    const foreign = origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === own);
    if (foreign || (site !== undefined && site !== 'same-origin' && site !== 'none'))
      throw new ApiError(403, 'origin_refused', 'origin: expected this server, got another site', { param: 'origin' });
  }
  await next();
};

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Compares in constant time, whatever the lengths. */
export function requireKey(apiKey: string): MiddlewareHandler {
  const expected = digest(apiKey);
  return async (context, next) => {
    const [, given] = /^Bearer (.+)$/i.exec(context.req.header('authorization') ?? '') ?? [];
    if (!timingSafeEqual(digest(given ?? ''), expected))
      throw new ApiError(401, 'invalid_api_key', `expected an API key, got ${given ? 'another' : 'none'}`, {
        headers: { 'WWW-Authenticate': 'Bearer' },
      });
    await next();
  };
}

const pagePolicy = [
  "default-src 'self'",
  // WebAssembly of the model in the browser
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self' blob:",
  "img-src 'self' data: blob:",
  "media-src 'self' blob:",
  "style-src 'self' 'unsafe-inline'",
  "connect-src 'self' data: blob:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const always: Record<string, string> = {
  'Content-Security-Policy': pagePolicy,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  // isolated, so that WebAssembly may use threads
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(self), microphone=(), geolocation=()',
};

export function withSafeHeaders(response: Response): void {
  for (const [name, value] of Object.entries(always)) response.headers.set(name, value);
  if (!response.headers.has('Cache-Control')) response.headers.set('Cache-Control', 'no-store');
}
