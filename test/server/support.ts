import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePng, pixelImage } from '@unif2ace/core';
import { saveModel } from '@unif2ace/core/node';
import { type Engine, makeApp, type RunningServer, type ServerOptions, startServer } from '@unif2ace/studio/server';
import { pino } from 'pino';
import { tinyModel } from '../system/tiny-model.ts';

const silent = pino({ level: 'silent' });

/** A server on a free port. */
export function serveEngine(engine: Engine, options: Partial<ServerOptions> = {}): Promise<RunningServer> {
  return startServer({ engine, log: silent, version: '0', port: 0, ...options });
}

/** The same without a socket. */
export async function inProcess(engine: Engine): Promise<Awaited<ReturnType<typeof makeApp>>['app']> {
  return (await makeApp({ engine, log: silent, version: '0' })).app;
}

/** Runs with a folder that holds the tiny model. */
export async function tinyModelFolder(): Promise<{ folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'unif2ace-server-'));
  const { config, tokenizerJson, weights } = tinyModel();
  await saveModel(folder, config, tokenizerJson, ({ name }) => weights.get(name)!);
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** A picture with some structure. */
export function testPng(side = 16): Uint8Array {
  const image = pixelImage(side, side);
  for (let i = 0; i < image.data.length; i++) image.data[i] = (i * 37) % 256;
  return encodePng(image);
}

export const dataUrl = (bytes: Uint8Array, type = 'image/png'): string =>
  `data:${type};base64,${Buffer.from(bytes).toString('base64')}`;

/** An engine whose jobs take as long as the test wants; it knows which were aborted. */
export class HeldEngine implements Engine {
  readonly info = {
    name: 'held',
    hash: '0'.repeat(64),
    imageSize: 8,
    tokenGrid: 2,
    device: 'none',
    attributes: ['Smiling'],
    guidance: 2,
    promptTokens: 16,
    answerTokens: 64,
  };
  readonly concurrency: number;
  readonly failure = undefined;
  started = 0;
  aborted = 0;
  readonly #release: (() => void)[] = [];
  #open: boolean;
  readonly #picture: Uint8Array;

  constructor({ concurrency = 1, open = false, picture = testPng(8) } = {}) {
    this.concurrency = concurrency;
    this.#open = open;
    this.#picture = picture;
  }

  countTokens(text: string): number {
    return Math.ceil(text.length / 4);
  }

  /** Lets one job go on, or all from now on. */
  release(all = false): void {
    if (all) {
      this.#open = true;
      for (const go of this.#release.splice(0)) go();
    } else this.#release.shift()?.();
  }

  async #hold(signal: AbortSignal): Promise<void> {
    this.started++;
    if (this.#open) return signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      this.#release.push(resolve);
      signal.addEventListener('abort', () => {
        this.aborted++;
        reject(signal.reason);
      });
    });
  }

  generate: Engine['generate'] = async ({ count, steps }, { signal, onStep }) => {
    onStep({
      step: 1,
      steps,
      images: [{ index: 0, masked: Uint8Array.of(1, 0, 1, 1), preview: this.#picture.slice() }],
    });
    await this.#hold(signal);
    return Array.from({ length: count }, () => this.#picture.slice());
  };

  edit: Engine['edit'] = (request, watch) => this.generate(request, watch);

  ask: Engine['ask'] = async (_, { signal, onText }) => {
    onText('Yes');
    await this.#hold(signal);
    onText('.');
    return { text: 'Yes.', finish: 'stop' };
  };

  faces: Engine['faces'] = async (_, { signal }) => {
    await this.#hold(signal);
    return { faces: [], chosen: null };
  };

  routing: Engine['routing'] = async (_, { signal }) => {
    await this.#hold(signal);
    return [{ layer: 0, level: 'token', experts: ['expert 0'], weights: new Float32Array(4).fill(0.5) }];
  };

  async close(): Promise<void> {}
}
