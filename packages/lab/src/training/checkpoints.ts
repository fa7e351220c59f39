import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeFloat32, encodeSafetensors, readSafetensors } from '@unif2ace/core';
import { writeFileAtomic } from '@unif2ace/core/node';
import { z } from 'zod';
import { notWritten } from './disk-trouble.ts';
import { TrainError } from './events.ts';
import { firstDifference } from './first-difference.ts';

/** Everything that the next step depends on beside recipe and data: batches are functions of the step. */
export interface TrainingState {
  /** Steps taken. */
  step: number;
  /** Flat float32 arrays by name: parameters, both moments of the optimiser, moving average. */
  arrays: Readonly<Record<string, Float32Array>>;
}

export interface CheckpointOptions {
  /** What the arrays mean: parameters with shapes, settings. A checkpoint of another layout is refused. */
  layout: unknown;
  /** Newest checkpoints that are kept. Default 2. */
  keepLast?: number;
  onLog: (text: string) => void;
}

const Manifest = z.strictObject({
  format: z.literal('unif2ace-training-1'),
  step: z.int().nonnegative(),
  /** Hash of the layout. */
  layout: z.string(),
  /** The layout itself, to tell what differs. Checkpoints of earlier versions have none. */
  described: z.unknown().optional(),
  bytes: z.int().positive(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Smaller is better. */
  score: z.number(),
});
type Manifest = z.infer<typeof Manifest>;

const manifestName = /^step-(\d{8})\.json$/;

function fileStem(step: number): string {
  return `step-${String(step).padStart(8, '0')}`;
}

/**
 * Checkpoints of a stage in a folder: `step-N.safetensors` with its manifest `step-N.json` (length, SHA-256, layout), which
 * is written last, so that a checkpoint is there whole or not at all. The newest ones and the best are kept.
 */
export class Checkpoints {
  readonly #folder: string;
  readonly #layout: string;
  readonly #described: unknown;
  readonly #keepLast: number;
  readonly #onLog: (text: string) => void;

  constructor(folder: string, { layout, keepLast = 2, onLog }: CheckpointOptions) {
    this.#folder = folder;
    // as JSON has it, since that is what a manifest gives back
    this.#described = JSON.parse(JSON.stringify(layout));
    this.#layout = createHash('sha256').update(JSON.stringify(layout)).digest('hex').slice(0, 16);
    this.#keepLast = keepLast;
    this.#onLog = onLog;
  }

  /**
   * Writes a checkpoint, then drops those that are neither among the newest nor the best.
   * @throws TrainError when it cannot be written; those before it stay as they are.
   */
  async save({ step, arrays }: TrainingState, score: number): Promise<void> {
    const bytes = encodeSafetensors(
      Object.entries(arrays).map(([name, data]) => ({ name, shape: [data.length], dtype: 'F32' as const, data })),
    );
    const manifest: Manifest = {
      format: 'unif2ace-training-1',
      step,
      layout: this.#layout,
      described: this.#described,
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      score,
    };
    const path = join(this.#folder, fileStem(step));
    try {
      await mkdir(this.#folder, { recursive: true });
      await writeFileAtomic(`${path}.safetensors`, bytes);
      await writeFileAtomic(`${path}.json`, `${JSON.stringify(manifest)}\n`);
    } catch (error) {
      // half of a pair only takes room
      if (!existsSync(`${path}.json`)) await rm(`${path}.safetensors`, { force: true });
      const known = await this.#steps();
      const kept = known.length > 0 ? `that of step ${known.at(-1)} is kept` : 'finished stages are kept';
      throw await notWritten('checkpoint', path, bytes.length, error, kept);
    }
    await this.#dropOld();
  }

  /**
   * The newest whole checkpoint; a damaged one is named and the one before it taken.
   * @throws TrainError for a checkpoint of another model or other settings.
   */
  async latest(): Promise<TrainingState | undefined> {
    for (const step of (await this.#steps()).toReversed()) {
      const path = join(this.#folder, fileStem(step));
      try {
        return await this.#read(path);
      } catch (error) {
        if (error instanceof TrainError) throw error;
        this.#onLog(`checkpoint ${path} is damaged (${(error as Error).message}); trying the one before it`);
      }
    }
    return undefined;
  }

  /** Steps of which there is a manifest, in order. */
  async #steps(): Promise<number[]> {
    const files = await readdir(this.#folder).catch(() => []);
    return files
      .flatMap((file) => manifestName.exec(file)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  async #manifest(path: string): Promise<Manifest> {
    const checked = Manifest.safeParse(JSON.parse(await readFile(`${path}.json`, 'utf8')));
    if (!checked.success) throw new Error('its manifest has another form');
    return checked.data;
  }

  async #read(path: string): Promise<TrainingState> {
    const manifest = await this.#manifest(path);
    if (manifest.layout !== this.#layout) throw this.#ofAnother(path, manifest);
    const bytes = await readFile(`${path}.safetensors`);
    if (bytes.length !== manifest.bytes) throw new Error(`expected ${manifest.bytes} bytes, got ${bytes.length}`);
    const sum = createHash('sha256').update(bytes).digest('hex');
    if (sum !== manifest.sha256) throw new Error(`expected SHA-256 ${manifest.sha256}, got ${sum}`);
    const { tensors } = readSafetensors(bytes);
    return {
      step: manifest.step,
      arrays: Object.fromEntries([...tensors].map(([name, tensor]) => [name, decodeFloat32(tensor)])),
    };
  }

  #ofAnother(path: string, { layout, described }: Manifest): TrainError {
    const found = described === undefined ? undefined : firstDifference(this.#described, described);
    const differs = found
      ? `${found.path || 'layout'} ${found.expected} as this recipe has it, got ${found.got}`
      : `one of this recipe (layout ${this.#layout}), got layout ${layout}`;
    return new TrainError(
      `train: checkpoint ${path}: expected ${differs}; try the recipe it was made with, or another --out`,
    );
  }

  async #dropOld(): Promise<void> {
    const steps = await this.#steps();
    const scores = await Promise.all(
      steps.map((step) =>
        this.#manifest(join(this.#folder, fileStem(step))).then(
          ({ score }) => score,
          () => Number.POSITIVE_INFINITY,
        ),
      ),
    );
    const best = steps[scores.indexOf(Math.min(...scores))];
    for (const step of steps.slice(0, -this.#keepLast)) {
      if (step === best) continue;
      const path = join(this.#folder, fileStem(step));
      // the manifest first: without it the other file is nothing
      await rm(`${path}.json`, { force: true });
      await rm(`${path}.safetensors`, { force: true });
    }
  }
}
