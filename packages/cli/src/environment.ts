import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Device, DeviceChoice, Runtime } from '@unif2ace/graph';
import { openRuntime } from '@unif2ace/graph/node';

/** A text stream that may be a terminal. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  /** Width of the terminal in characters. */
  readonly columns?: number;
  /** Bits per colour. */
  getColorDepth?(): number;
}

/** What a command knows of the world, so that tests can give it another one. */
export interface Environment {
  stdout: Output;
  stderr: Output;
  /** Folder that relative paths start from. */
  cwd: string;
  /** Aborted by Ctrl+C. */
  signal: AbortSignal;
  /** Folder of the checkout or of the installed package: it holds weights/ and recipes/. */
  root: string;
  /** @throws DeviceError naming what can be had. */
  openRuntime(device: Device | 'auto'): Promise<DeviceChoice & { runtime: Runtime }>;
}

/** The nearest folder above this file with weights/: the installed package, or the checkout around it. */
function findRoot(): string {
  const start = dirname(dirname(fileURLToPath(import.meta.url)));
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'weights'))) return folder;
    if (folder === dirname(folder)) return start;
  }
}

/** The environment of this process. */
export function processEnvironment(signal: AbortSignal): Environment {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    cwd: process.cwd(),
    signal,
    root: findRoot(),
    openRuntime,
  };
}
