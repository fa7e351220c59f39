import { createServer, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { getRequestListener } from '@hono/node-server';
import type { Context, Hono } from 'hono';
import type { Logger } from 'pino';
import { createApp } from './app.ts';
import type { Engine } from './engine.ts';
import { ApiError } from './errors.ts';
import { loopbackHosts } from './guards.ts';
import { Service, type ServiceOptions } from './service.ts';
import { StaticFiles } from './static-files.ts';

export interface ServerOptions extends ServiceOptions {
  engine: Engine;
  log: Logger;
  version: string;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 7860; 0 takes a free one. */
  port?: number;
  apiKey?: string | null;
  /** Posts that one address may make; null: no limit. Default: none on a loopback address, else 120. */
  requestsPerMinute?: number | null;
  /** Time for a request's head; for the whole of it. Default 10 s and 60 s. */
  headMs?: number;
  requestMs?: number;
  /** Time in which a shutdown finishes what was accepted. Default 30 s. */
  drainMs?: number;
  /** Folder of the built page. Default: where the build puts it. */
  pageFolder?: string;
}

export interface RunningServer {
  url: string;
  port: number;
  /** Reached from this host alone. */
  isLoopback: boolean;
  /** Whether there is a page to show. */
  hasPage: boolean;
  /** Finishes what was accepted, refuses the rest, closes the engine. */
  close(): Promise<void>;
}

/** A server that cannot start; one line. */
export class ServeError extends Error {
  override readonly name = 'ServeError';
}

const builtPage = fileURLToPath(new URL('../../dist/page', import.meta.url));
const maxConnections = 4096;
const defaultHost = '127.0.0.1';

/** The application without a socket: `app.fetch` answers requests. */
export async function makeApp(options: ServerOptions): Promise<{ app: Hono; service: Service; page: StaticFiles }> {
  const { engine, version, host = defaultHost, apiKey = null, pageFolder = builtPage } = options;
  const loopbackOnly = loopbackHosts.includes(host);
  const { requestsPerMinute = loopbackOnly ? null : 120 } = options;
  const service = new Service(engine, options);
  const page = await StaticFiles.open(pageFolder);
  const app = createApp(service, { version, apiKey, loopbackOnly, requestsPerMinute, page, addressOf, cut });
  return { app, service, page };
}

/** Starts the server. @throws ServeError when the address cannot be had. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { engine, log, host = defaultHost, port = 7860 } = options;
  const { headMs = 10_000, requestMs = 60_000, drainMs = 30_000 } = options;
  const { app, service, page } = await makeApp(options);
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    errorHandler: () =>
      new ApiError(400, 'invalid_request', 'expected an HTTP request with a valid host and path').response(),
  });
  const server = createServer(
    { headersTimeout: headMs, requestTimeout: requestMs, connectionsCheckingInterval: Math.min(headMs, 1000) },
    (incoming, outgoing) => void listener(incoming, outgoing),
  );
  server.maxConnections = maxConnections;
  server.keepAliveTimeout = 5000;
  server.on('clientError', refuseBroken);
  await listen(server, host, port);
  const address = server.address() as AddressInfo;
  const shown = host.includes(':') ? `[${host}]` : host;
  let closing: Promise<void> | undefined;
  return {
    url: `http://${shown}:${address.port}/`,
    port: address.port,
    isLoopback: loopbackHosts.includes(host),
    hasPage: page.size > 0,
    close: () => {
      closing ??= (async () => {
        log.info({ waiting: service.queue.waiting, running: service.queue.running }, 'stopping');
        // still listening: who comes now is told to come back
        await service.queue.drain(drainMs);
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        server.closeIdleConnections();
        // answers on their way get a moment to be read
        const cut = setTimeout(() => server.closeAllConnections(), 5000);
        await closed;
        clearTimeout(cut);
        await Promise.all([engine.close(), service.bodies.close()]);
        log.info('stopped');
      })();
      return closing;
    },
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', ({ code, message }: NodeJS.ErrnoException) =>
      reject(
        new ServeError(
          `serve: expected port ${port} of ${host} to be free, got ${code ?? message}; try another --port`,
        ),
      ),
    );
    server.listen(port, host, resolve);
  });
}

/** Absent where there is no socket. */
interface Connection {
  incoming?: { socket: Socket };
  outgoing?: ServerResponse;
}

function addressOf(context: Context): string {
  return (context.env as Connection).incoming?.socket.remoteAddress ?? 'local';
}

function cut(context: Context): void {
  (context.env as Connection).outgoing?.destroy();
}

/** What is no HTTP, or comes too slowly, gets an answer in the API's form where one can still be sent. */
function refuseBroken(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, code, message] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? ([408, 'timeout', 'the request came too slowly'] as const)
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? ([431, 'headers_too_large', 'expected at most 16 KiB of headers, got more'] as const)
        : ([400, 'invalid_request', 'expected an HTTP request, got something else'] as const);
  const body = JSON.stringify(new ApiError(status, code, message).body());
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
