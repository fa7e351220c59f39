import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import type { JSHandle, Page } from 'playwright-core';
import { build, defaultClientConditions } from 'vite';
import type { PageApi } from './page/main.ts';

export const root = new URL('../../', import.meta.url).pathname;

const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/** Builds a page from the sources of the packages. */
export async function buildPage(source: string, folder: string): Promise<void> {
  await build({
    configFile: false,
    root: source,
    logLevel: 'warn',
    resolve: { conditions: ['source', ...defaultClientConditions] },
    build: { outDir: folder, emptyOutDir: true, target: 'es2023', modulePreload: false },
  });
}

/** Opens the page of the tests; what it can do. */
export async function openApi(page: Page, url: string): Promise<JSHandle<PageApi>> {
  await page.goto(url);
  return (await page.waitForFunction(
    () => (globalThis as unknown as { unif2ace?: PageApi }).unif2ace,
  )) as JSHandle<PageApi>;
}

export interface StaticServer {
  readonly url: string;
  close(): void;
}

/** Serves a folder, and the bundled weights below /weights, on a free port. `isolated`: with the headers that threads need. */
export async function serveFolder(folder: string, { isolated = false } = {}): Promise<StaticServer> {
  const server = createServer(async ({ url, method }, response) => {
    const path = normalize(new URL(url!, 'http://page').pathname);
    const file = path.endsWith('/') ? `${path}index.html` : path;
    const weights = path.startsWith('/weights/') ? () => readFile(join(root, file)) : () => null;
    const bytes = await readFile(join(folder, file))
      .catch(weights)
      .catch(() => null);
    response.writeHead(bytes ? 200 : 404, {
      'content-type': types[extname(file)] ?? 'application/octet-stream',
      'content-length': bytes?.length ?? 0,
      ...(isolated && {
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-embedder-policy': 'require-corp',
      }),
    });
    response.end(method === 'HEAD' ? undefined : (bytes ?? undefined));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
