import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');

/** What the server's process says of itself since it was last asked. */
export interface ServerFigures {
  residentMiB: number;
  /** Delay of a timer of 10 ms, less the 10 ms: how long the event loop was taken by something else. */
  loopMaxMs: number;
  loopP99Ms: number;
}

/** `unif2ace serve` in a process of its own, with what a client does. */
export class Served {
  readonly url: string;
  readonly startMs: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string, startMs: number) {
    this.#child = child;
    this.url = url;
    this.startMs = startMs;
  }

  static async start(model: string, args: readonly string[] = []): Promise<Served> {
    const beganMs = performance.now();
    const main = join(root, 'packages/cli/src/main.ts');
    const options = ['--import', 'tsx', '--conditions=source', main, 'serve', '--model', model, '--json'];
    const child = spawn(process.execPath, [...options, '--port', '0', '--log-level', 'error', ...args], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const line = await new Promise<string>((resolve, reject) => {
      child.stdout.once('data', (data) => resolve(String(data)));
      child.once('exit', (code) => reject(new Error(`bench: serve ended at its start with code ${code}`)));
    });
    return new Served(child, (JSON.parse(line) as { url: string }).url, performance.now() - beganMs);
  }

  /** `body`: an object, or its JSON. */
  post(path: string, body: object, signal?: AbortSignal): Promise<Response> {
    const headers = { 'Content-Type': 'application/json' };
    const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
    const request = { method: 'POST', headers, body: bytes, ...(signal && { signal }) };
    return fetch(`${this.url}v1/${path}`, request);
  }

  /** Sends and reads; the time both took. @throws Error unless it is answered. */
  async ask(path: string, body: object): Promise<number> {
    const startMs = performance.now();
    const response = await this.post(path, body);
    const text = await response.text();
    if (!response.ok) throw new Error(`bench: ${path}: expected status 200, got ${response.status}: ${text}`);
    return performance.now() - startMs;
  }

  /** Begins a stream and goes away, or has the job deleted, when it runs. */
  async leave(path: string, body: object, way: 'disconnect' | 'delete'): Promise<void> {
    const away = new AbortController();
    const response = await this.post(path, { ...body, stream: true }, away.signal);
    const reader = response.body!.getReader();
    await reader.read();
    if (way === 'delete') {
      const job = response.headers.get('x-unif2ace-job');
      await (await fetch(`${this.url}v1/jobs/${job}`, { method: 'DELETE' })).text();
      while (!(await reader.read()).done);
    } else {
      away.abort();
      await reader.read().catch(() => {});
    }
  }

  async figures(): Promise<ServerFigures> {
    const text = await (await fetch(`${this.url}metrics`)).text();
    const of = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
    const lessTimer = (seconds: number) => Math.max(0, 1000 * seconds - 10);
    return {
      residentMiB: of('process_resident_memory_bytes') / 2 ** 20,
      loopMaxMs: lessTimer(of('nodejs_eventloop_lag_max_seconds')),
      loopP99Ms: lessTimer(of('nodejs_eventloop_lag_p99_seconds')),
    };
  }

  /** Asks it to end; its exit code. */
  async close(): Promise<number | null> {
    const exited = new Promise<number | null>((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    return exited;
  }
}
