import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Repetition {
  case: string;
  ms: number;
  peakRssMiB: number;
  check: number;
}

/** A process that runs single repetitions on request, ours or the peer's. */
export class Side {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  /** Null when the process cannot start or says nothing: the peer is not installed. */
  static async start(
    command: string,
    args: readonly string[],
    env: Record<string, string> = {},
  ): Promise<{ side: Side; hello: unknown } | null> {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'], env: { ...process.env, ...env } });
    child.on('error', () => {});
    const side = new Side(child);
    const first = await side.#lines.next();
    return first.done ? null : { side, hello: JSON.parse(first.value) };
  }

  async repeat(name: string, warmup = 0): Promise<Repetition> {
    this.#child.stdin!.write(`${JSON.stringify({ case: name, warmup })}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`bench: the process running ${name} ended`);
    const reply = JSON.parse(value) as Repetition & { error?: string };
    if (reply.error) throw new Error(`bench: ${name}: ${reply.error}`);
    return reply;
  }

  async close(): Promise<void> {
    this.#child.stdin!.end();
    await new Promise((resolve) => (this.#child.exitCode === null ? this.#child.once('exit', resolve) : resolve(null)));
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
