import { ModelError, type ModelSource } from '../model/source.ts';
import type { LoadPrediction, LoadProgress } from './platform.ts';

const cacheName = 'unif2ace-1';
/** A kept file's version; our own name, since servers leave out all others at times. */
const versionHeader = 'x-unif2ace-version';

/** What is used of the browser's CacheStorage. */
interface Caches {
  open(name: string): Promise<{
    match(url: URL): Promise<Response | undefined>;
    put(url: URL, response: Response): Promise<void>;
  }>;
}

/** A file that is to be loaded. */
interface Planned {
  readonly url: URL;
  /** Null when the server does not tell. */
  readonly bytes: number | null;
  /** Changes with the file; null when the server does not tell or cannot be reached. */
  readonly version: string | null;
  readonly kept: Response | undefined;
  loaded: number;
}

/**
 * Files by address, kept in the browser's cache: a kept one is used while the server has the same version, and when the server
 * cannot be reached. Where a page may keep nothing, or its disk is full, every load downloads.
 */
export class Downloads {
  readonly #onProgress: ((progress: LoadProgress) => void) | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #planned = new Map<string, Planned>();

  constructor(onProgress?: (progress: LoadProgress) => void, signal?: AbortSignal) {
    this.#onProgress = onProgress;
    this.#signal = signal;
  }

  /** Asks for the sizes of files, without their content. */
  async plan(files: readonly URL[]): Promise<void> {
    for (const planned of await Promise.all(files.map((url) => this.#ask(url))))
      this.#planned.set(planned.url.href, planned);
  }

  get prediction(): LoadPrediction {
    const planned = [...this.#planned.values()];
    return {
      downloadBytes: total(planned.filter(({ kept }) => !kept)),
      cachedBytes: total(planned.filter(({ kept }) => kept)) ?? 0,
    };
  }

  /** The files below an address, which ends in a slash. */
  source(base: URL): ModelSource {
    return { name: base.href, read: (file) => this.get(new URL(file, base)) };
  }

  /** @throws ModelError when it cannot be had, the signal's reason. */
  async get(url: URL): Promise<Uint8Array> {
    const planned = this.#planned.get(url.href) ?? (await this.#ask(url));
    this.#planned.set(url.href, planned);
    if (planned.kept) {
      const bytes = new Uint8Array(await planned.kept.clone().arrayBuffer());
      this.#count(planned, bytes.length);
      return bytes;
    }
    const response = await this.#fetch(url, 'GET');
    if (!response.ok) throw new ModelError(`HTTP status ${response.status}`);
    const bytes = await this.#read(planned, response);
    await keep(url, bytes, planned.version);
    return bytes;
  }

  async #ask(url: URL): Promise<Planned> {
    const found = await (await openCache())?.match(url);
    try {
      const { ok, headers } = await this.#fetch(url, 'HEAD');
      const size = headers.get('content-length');
      // of a compressed answer it is not the size of the file
      const bytes = ok && size !== null && !headers.get('content-encoding') ? Number(size) : null;
      const version = ok ? (headers.get('etag') ?? headers.get('last-modified') ?? size) : null;
      const kept = found && (!ok || version === found.headers.get(versionHeader)) ? found : undefined;
      return { url, bytes: kept ? sizeOf(kept) : bytes, version, kept, loaded: 0 };
    } catch (error) {
      this.#signal?.throwIfAborted();
      if (!found) throw error;
      return { url, bytes: sizeOf(found), version: null, kept: found, loaded: 0 };
    }
  }

  async #fetch(url: URL, method: 'GET' | 'HEAD'): Promise<Response> {
    try {
      return await fetch(url, { method, ...(this.#signal && { signal: this.#signal }) });
    } catch (error) {
      this.#signal?.throwIfAborted();
      throw new ModelError(`${url.href}: expected a file, got no answer (${(error as Error).message}); try to reload`);
    }
  }

  async #read(planned: Planned, response: Response): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    try {
      for (const reader = response.body!.getReader(); ; ) {
        const { done, value } = await reader.read();
        if (done) break;
        parts.push(value);
        this.#count(planned, planned.loaded + value.length);
      }
    } catch (error) {
      this.#signal?.throwIfAborted();
      throw new ModelError(`a connection that broke off (${(error as Error).message})`);
    }
    const bytes = new Uint8Array(planned.loaded);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  #count(planned: Planned, loaded: number): void {
    planned.loaded = loaded;
    const all = [...this.#planned.values()];
    const sum = (files: readonly Planned[]) => files.reduce((bytes, file) => bytes + file.loaded, 0);
    this.#onProgress?.({
      loadedBytes: sum(all),
      totalBytes: total(all),
      cachedBytes: sum(all.filter(({ kept }) => kept)),
    });
  }
}

function total(files: readonly Planned[]): number | null {
  return files.reduce<number | null>((sum, { bytes }) => (sum === null || bytes === null ? null : sum + bytes), 0);
}

function sizeOf(kept: Response): number | null {
  const size = kept.headers.get('content-length');
  return size === null ? null : Number(size);
}

async function openCache() {
  // pages that are not secure have none, and private windows may refuse it
  return (globalThis as { caches?: Caches }).caches?.open(cacheName).catch(() => undefined);
}

async function keep(url: URL, bytes: Uint8Array, version: string | null): Promise<void> {
  const headers = { 'content-length': `${bytes.length}`, ...(version !== null && { [versionHeader]: version }) };
  const cache = await openCache();
  // a full disk is no reason to fail: the next load downloads again
  await cache?.put(url, new Response(bytes as Uint8Array<ArrayBuffer>, { headers })).catch(() => {});
}
