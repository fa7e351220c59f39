import { type Context, Hono } from 'hono';
import { apiDocument, routes } from './api-description.ts';
import { ApiError, stopping } from './errors.ts';
import { loopbackHostOnly, requireKey, sameOriginOnly, withSafeHeaders } from './guards.ts';
import { RateLimiter } from './rate-limit.ts';
import { chatCompletions } from './routes/chat.ts';
import { faces } from './routes/faces.ts';
import { edits, generations } from './routes/images.ts';
import { routing } from './routes/routing.ts';
import { cancelJob, health, job, model, models, ready } from './routes/service.ts';
import type { Client, Service } from './service.ts';
import type { StaticFiles } from './static-files.ts';

export interface AppOptions {
  version: string;
  /** Needed for /v1 and /metrics; null: none. */
  apiKey?: string | null;
  /** Answers to loopback names only. */
  loopbackOnly: boolean;
  /** Posts of one address; null: no limit. */
  requestsPerMinute?: number | null;
  page: StaticFiles;
  /** Address of a client, for the rate limit. */
  addressOf(context: Context): string;
  /** Ends a client's connection. */
  cut(context: Context): void;
}

type Handler = (context: Context) => Response | Promise<Response>;

/** The HTTP application; it can be called without a socket. */
export function createApp(service: Service, options: AppOptions): Hono {
  const { apiKey = null, loopbackOnly, requestsPerMinute = null, page, addressOf, cut } = options;
  const app = new Hono({ strict: true });
  const document = apiDocument(options.version);
  /** Methods by path, for what is known but not offered. */
  const methods = new Map<string, string[]>();
  const labels = new WeakMap<Context, string>();

  app.use(async (context, next) => {
    const startMs = performance.now();
    await next();
    const { method } = context.req;
    const route = labels.get(context) ?? 'other';
    const { status } = context.res;
    const ms = performance.now() - startMs;
    withSafeHeaders(context.res);
    service.metrics.requests.inc({ method: knownMethods.has(method) ? method : 'other', route, status });
    service.metrics.requestSeconds.observe({ route }, ms / 1000);
    const jobId = context.res.headers.get('x-unif2ace-job');
    service.log.info({ method, route, status, ms: Math.round(ms), ...(jobId && { job: jobId }) }, 'request');
  });
  app.onError((error) => service.failure(error).response());
  if (loopbackOnly) app.use(loopbackHostOnly);
  app.use(sameOriginOnly);
  if (apiKey !== null) {
    const guard = requireKey(apiKey);
    app.use('/v1/*', guard);
    app.use('/metrics', guard);
  }
  if (requestsPerMinute !== null) {
    const limiter = new RateLimiter(requestsPerMinute);
    app.use('/v1/*', async (context, next) => {
      if (context.req.method === 'POST') limiter.take(addressOf(context));
      await next();
    });
  }

  const add = (method: string, path: string, handler: Handler) => {
    const pattern = path.replace(/\{(\w+)\}/g, ':$1');
    methods.set(pattern, [...(methods.get(pattern) ?? []), method.toUpperCase()]);
    app.on(method.toUpperCase(), pattern, (context) => {
      labels.set(context, path);
      return handler(context);
    });
  };
  const post = ({ path }: { path: string }, handler: (service: Service, client: Client) => Promise<Response>) =>
    add('post', path, (context) => {
      if (service.queue.stopping) throw stopping();
      return handler(service, { request: context.req.raw, cut: () => cut(context) });
    });
  const byId = ({ method, path }: { method: string; path: string }, handler: (s: Service, id: string) => Response) =>
    add(method, path, (context) => handler(service, context.req.param('id')!));

  post(routes.generations, generations);
  post(routes.edits, edits);
  post(routes.chat, chatCompletions);
  post(routes.faces, faces);
  post(routes.routing, routing);
  add('get', routes.models.path, () => models(service));
  byId(routes.model, model);
  byId(routes.job, job);
  byId(routes.cancelJob, cancelJob);
  add('get', routes.health.path, () => health(service));
  add('get', routes.ready.path, () => ready(service));
  add('get', '/openapi.json', () => Response.json(document));
  add('get', '/metrics', async () => {
    const { registry } = service.metrics;
    return new Response(await registry.metrics(), { headers: { 'Content-Type': registry.contentType } });
  });
  for (const [pattern, allowed] of methods)
    app.all(pattern, (context) => {
      throw new ApiError(405, 'method_not_allowed', `expected ${allowed.join(' or ')}, got ${shortMethod(context)}`, {
        headers: { Allow: allowed.join(', ') },
      });
    });
  app.on(['GET', 'HEAD'], '/*', (context, next) => {
    const response = page.respond(context.req.raw, context.req.path);
    if (!response) return next();
    labels.set(context, 'page');
    return Promise.resolve(response);
  });
  app.notFound(() =>
    new ApiError(404, 'not_found', 'expected a path of this API, got another; see /openapi.json').response(),
  );
  return app;
}

const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

const shortMethod = (context: Context): string => context.req.method.slice(0, 20);
