import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import { Readable } from 'node:stream';

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
};

interface StaticFile {
  path: string;
  bytes: number;
  headers: Record<string, string>;
}

/**
 * Files of a folder as they are at the start, by URL path. A request is looked up, never joined to a path, so none leads out of
 * the folder.
 */
export class StaticFiles {
  readonly #files: ReadonlyMap<string, StaticFile>;

  private constructor(files: ReadonlyMap<string, StaticFile>) {
    this.#files = files;
  }

  /** A folder that does not exist gives none. */
  static async open(folder: string): Promise<StaticFiles> {
    const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    const files = new Map<string, StaticFile>();
    for (const entry of found) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const name = `/${relative(folder, path).split(sep).join('/')}`;
      const { size: bytes, mtimeMs } = await stat(path);
      // names in assets/ carry a hash of their content
      const cache = name.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache';
      const headers = {
        'Content-Type': types[extname(name)] ?? 'application/octet-stream',
        'Content-Length': `${bytes}`,
        'Cache-Control': cache,
        ETag: `"${bytes.toString(36)}-${Math.round(mtimeMs).toString(36)}"`,
      };
      files.set(name, { path, bytes, headers });
      if (name.endsWith('/index.html')) files.set(name.slice(0, -'index.html'.length), { path, bytes, headers });
    }
    return new StaticFiles(files);
  }

  get size(): number {
    return this.#files.size;
  }

  respond(request: Request, path: string): Response | undefined {
    const file = this.#files.get(path);
    if (!file) return undefined;
    const { headers } = file;
    if (request.headers.get('if-none-match') === headers.ETag)
      return new Response(null, {
        status: 304,
        headers: { ETag: headers.ETag!, 'Cache-Control': headers['Cache-Control']! },
      });
    if (request.method === 'HEAD') return new Response(null, { headers });
    return new Response(Readable.toWeb(createReadStream(file.path)) as ReadableStream<Uint8Array>, { headers });
  }
}
