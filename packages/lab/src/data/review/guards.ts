import type { Context, MiddlewareHandler } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';

export const loopbackHosts: readonly string[] = ['127.0.0.1', 'localhost', '::1'];

const hostHeader = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i;

/** Error reply: a code for the page, one line for people. */
export function refuse(context: Context, status: ContentfulStatusCode, code: string, error: string): Response {
  return context.json({ code, error }, status);
}

/**
 * A name that points to this host but is not its own could be anybody's (DNS rebinding). Any port: the page may be reached
 * through a tunnel.
 */
export const ownHostOnly: MiddlewareHandler = async (context, next) => {
  const host = context.req.header('host') ?? '';
  if (!hostHeader.test(host)) return refuse(context, 403, 'host', 'expected a local host name, got another');
  await next();
};

/** Other sites' pages may neither read nor rate: no request may come from them, and what writes says where it comes from. */
export const sameOriginOnly: MiddlewareHandler = async (context, next) => {
  const { method } = context.req;
  const site = context.req.header('sec-fetch-site');
  const origin = context.req.header('origin');
  const reads = method === 'GET' || method === 'HEAD';
  const foreign =
    (site !== undefined && site !== 'same-origin' && !(reads && site === 'none')) ||
    (origin === undefined ? !reads : origin !== `http://${context.req.header('host')}`);
  if (foreign) return refuse(context, 403, 'origin', 'expected a request from its own page, got another');
  const type = context.req.header('content-type') ?? '';
  if (!reads && !/^application\/json(?:;\s*charset=utf-8)?$/i.test(type))
    return refuse(context, 415, 'content-type', 'expected application/json, got another content type');
  await next();
};

/** @param policy Content-Security-Policy of the page. */
export function safeHeaders(policy: string): MiddlewareHandler {
  return async (context, next) => {
    await next();
    context.header('Content-Security-Policy', policy);
    context.header('X-Content-Type-Options', 'nosniff');
    context.header('Referrer-Policy', 'no-referrer');
    context.header('Cross-Origin-Resource-Policy', 'same-origin');
    context.header('Cross-Origin-Opener-Policy', 'same-origin');
    context.header('Cache-Control', 'no-store');
  };
}
