import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { type ServerType, serve } from '@hono/node-server';
import { Hono } from 'hono';
import { loopbackHosts, ownHostOnly, refuse, safeHeaders, sameOriginOnly } from '../../data/review/guards.ts';
import { TrainError } from '../events.ts';
import { RunHistory } from './run-history.ts';
import { watchPage, watchPolicy } from './watch-page.ts';

export interface WatchOptions {
  /** Folder of the run: all that is shown is read from it, so any run can be watched, also one of another process. */
  folder: string;
  /** Default 4871; 0 takes a free one. */
  port?: number;
  /** A loopback address. Default 127.0.0.1. */
  host?: string;
}

export interface WatchServer {
  url: string;
  port: number;
  close(): Promise<void>;
}

const defaultPort = 4871;
const sampleName = /^[\w-]+[.]png$/;

/**
 * Serves the live page of a training run.
 * @throws TrainError for an address that is taken or not loopback.
 */
export async function watchServer({
  folder,
  port = defaultPort,
  host = '127.0.0.1',
}: WatchOptions): Promise<WatchServer> {
  if (!loopbackHosts.includes(host))
    throw new TrainError(
      `watch: expected a loopback host (${loopbackHosts.join(', ')}), got ${host}; try a tunnel, e.g. ssh -L ${port}:127.0.0.1:${port}`,
    );
  const history = new RunHistory(folder);
  const name = basename(folder);
  const page = watchPage(name);
  const app = new Hono();
  app.use(safeHeaders(watchPolicy), ownHostOnly);
  app.use('/api/*', sameOriginOnly);
  app.get('/', (context) => context.html(page));
  app.get('/api/run', async (context) => {
    const view = await history.view();
    if (context.req.query('version') === view.version) return context.json({ version: view.version });
    return context.json(view);
  });
  app.get('/samples/:file', async (context) => {
    const file = context.req.param('file');
    const png = sampleName.test(file)
      ? await readFile(join(folder, 'samples', file)).catch(() => undefined)
      : undefined;
    if (!png) return refuse(context, 404, 'samples', 'watch: expected a sample of this run, got another name');
    return context.body(new Uint8Array(png), 200, { 'Content-Type': 'image/png' });
  });
  app.notFound((context) => refuse(context, 404, 'address', 'watch: expected a known address, got another'));
  app.onError((_, context) => refuse(context, 500, 'server', "watch: the run's folder could not be read"));
  const server = await listen(app, host, port);
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${host === '::1' ? '[::1]' : host}:${taken}/`,
    port: taken,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) server.closeAllConnections();
      }),
  };
}

function listen(app: Hono, host: string, port: number): Promise<ServerType> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: host, port }, () => resolve(server));
    server.once('error', ({ code, message }: NodeJS.ErrnoException) =>
      reject(
        new TrainError(`watch: expected port ${port} of ${host} to be free, got ${code ?? message}; try --port 0`),
      ),
    );
  });
}
