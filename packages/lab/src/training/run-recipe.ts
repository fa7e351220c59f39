import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createTextTokenizer,
  decodeFloat32,
  ModelConfig,
  modelParts,
  modelSpecs,
  moreEncoders,
  readSafetensors,
} from '@unif2ace/core';
import { saveModel, writeFileAtomic, writeSafetensorsFile } from '@unif2ace/core/node';
import { type Runtime, sizeOf } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { loadFacesAtSizes, readCelebA } from '../data/celeba.ts';
import { loadSmallEncoder } from '../encoders/small-encoder.ts';
import { trainBackbone } from './backbone-stage.ts';
import { openBaseModel } from './base-model.ts';
import { arraysOfRoot, numberOfRoot, textOfRoot } from './collective/agreement.ts';
import { type Collective, single } from './collective/collective.ts';
import { notWritten } from './disk-trouble.ts';
import { encodeFaces } from './encode-faces.ts';
import { type OnTrainEvent, TrainError } from './events.ts';
import type { Faces } from './face-batches.ts';
import { trainFaceEncoder } from './face-encoder-stage.ts';
import { monitored } from './monitor/run-monitor.ts';
import type { Recipe } from './recipe.ts';
import { checkRecipe } from './recipe-schema.ts';
import type { StageContext } from './stage.ts';
import { textTokenizer } from './text-tokenizer.ts';
import { trainDecoder, trainTokenizer } from './tokenizer-stage.ts';

export interface RunOptions {
  /** Folder of the model; results of finished stages go to its subfolder `stages`, checkpoints of an unfinished one to `checkpoints`. */
  out: string;
  /** Folder in CelebA's layout. */
  dataFolder: string;
  /** Take finished stages from `out` instead of training them again, and go on with the unfinished one. */
  resume?: boolean;
  /** Folder of a trained model whose text and image tokenizers and encoder are taken, and whose backbone is trained further. */
  from?: string;
  checkpointEvery?: StageContext['checkpointEvery'];
  /** Write TensorBoard's event files beside metrics.jsonl. */
  tensorboard?: boolean;
  /** What the machine can do, from `measurePeakFlops`: progress then tells the share that is used. */
  peakFlopsPerSecond?: number;
  onEvent: OnTrainEvent;
  signal?: AbortSignal;
  runtime?: Runtime;
  /**
   * Processes that train together, each with these options. Rank 0 alone writes, reads what it wrote, and sends events;
   * all read the data. Default: this process alone.
   */
  collective?: Collective;
}

/** Runs a recipe from photos to a model folder. @throws DataError, ImageError, TrainError */
export async function runRecipe(recipe: Recipe, options: RunOptions): Promise<ModelConfig> {
  checkRecipe(recipe, `recipe ${recipe.name}`);
  if (options.from === undefined && recipe.backbone.length === 0)
    throw new TrainError(
      `train: recipe ${recipe.name}: backbone: expected at least one stage, got none; try --from with a trained model, or name a stage`,
    );
  return monitored({ ...options, folder: options.out }, (onEvent) => runStages(recipe, { ...options, onEvent }));
}

async function runStages(recipe: Recipe, options: RunOptions): Promise<ModelConfig> {
  const { out, signal, collective = single } = options;
  const isRoot = collective.rank === 0;
  const onEvent: OnTrainEvent = isRoot ? options.onEvent : () => {};
  const runtime = options.runtime ?? directRuntime();
  const all = await readCelebA(options.dataFolder);
  const weights = new Map<string, Float32Array>();
  const context: StageContext = {
    recipe,
    onEvent,
    collective,
    out,
    weights,
    validation: all.filter(({ split }) => split === 'validation'),
    ...(options.peakFlopsPerSecond && { peakFlopsPerSecond: options.peakFlopsPerSecond }),
    ...(signal && { signal }),
    ...(options.checkpointEvery && { checkpointEvery: options.checkpointEvery }),
    checkpointFolder: (stage) => checkpointsOf(out, stage),
  };
  if (isRoot && !options.resume) await rm(join(out, 'checkpoints'), { recursive: true, force: true });
  const records = all.filter(({ split }) => split === 'train');
  if (records.length === 0)
    throw new TrainError(
      `train: expected faces of training identities in ${options.dataFolder}, got none; try another folder`,
    );
  if (isRoot) await mkdir(join(out, 'stages'), { recursive: true });
  const stages = new StageStore(join(out, 'stages'), options.resume ?? false, onEvent, collective);

  const base = options.from === undefined ? undefined : await openBaseModel(options.from);
  const tokenizerJson = base?.tokenizerJson ?? (await stages.json('text', async () => textTokenizer(recipe, records)));
  const tokenizer = createTextTokenizer(tokenizerJson);
  const config = ModelConfig.parse(recipe.model(tokenizer.vocabSize));
  base?.check(config);
  stages.sizes = new Map(modelSpecs(config).map(({ name, shape }) => [name, sizeOf(shape)]));
  onEvent({ kind: 'stage', name: 'data', detail: `${records.length} faces of training identities` });
  const labels = records.map(({ attributes }) => attributes);
  const sizes = [config.imageSize, config.faceEncoder.imageSize];
  const loaded = await loadFacesAtSizes(records, sizes);
  const [forTokenizer, forEncoder] = loaded.map((data, i): Faces => ({ size: sizes[i]!, data })) as [Faces, Faces];

  const collect = (part: ReadonlyMap<string, Float32Array>) => {
    for (const [name, data] of part) weights.set(name, data);
  };
  const encoder =
    base?.part('faceEncoder', config) ??
    (await stages.weights('face-encoder', () => trainFaceEncoder(context, config, forEncoder, labels, runtime)));
  collect(encoder);
  for (const part of moreEncoders) {
    const wanted = config[part];
    if (!wanted) continue;
    const take = () => loadSmallEncoder(recipe.encoders![part]!, wanted, modelParts[part]);
    collect(base?.part(part, config) ?? (await stages.weights(modelParts[part].replaceAll('_', '-'), take)));
  }
  const pictures = { faces: forTokenizer, count: records.length, encoder };
  let tokenizerWeights =
    base?.part('tokenizer', config) ??
    (await stages.weights('tokenizer', () => trainTokenizer(context, config, pictures, runtime)));
  collect(tokenizerWeights);
  onEvent({ kind: 'stage', name: 'encode', detail: 'codes and features of all faces and their mirror images' });
  const encoded = await encodeFaces(config, weights, { forTokenizer, forEncoder }, records.length, runtime, collective);
  let backbone = base?.part('backbone', config);
  for (const stage of recipe.backbone)
    backbone = await stages.weights(stage.name, () =>
      trainBackbone(context, stage, backbone, config, tokenizer, encoded, labels, runtime),
    );
  collect(backbone ?? new Map());
  for (const stage of recipe.decoder ?? [])
    tokenizerWeights = await stages.weights(stage.name, () =>
      trainDecoder(context, stage, tokenizerWeights, config, { ...pictures, codes: encoded.codes }, runtime),
    );
  collect(tokenizerWeights);
  if (isRoot) await saveModel(out, config, tokenizerJson, ({ name }) => weights.get(name) ?? missing(name));
  onEvent({ kind: 'stage', name: 'done', detail: out });
  return config;
}

/** Where a stage of a run keeps its checkpoints. */
const checkpointsOf = (out: string, stage: string): string => join(out, 'checkpoints', stage.replaceAll(' ', '-'));

function missing(name: string): never {
  throw new TrainError(`train: expected a trained parameter ${name}, got none; try without --resume`);
}

/** Results of finished stages, written whole or not at all by rank 0, whose values all ranks go on with. */
class StageStore {
  readonly #folder: string;
  readonly #resume: boolean;
  readonly #onEvent: OnTrainEvent;
  readonly #collective: Collective;
  /** Elements of every parameter of the model, once it is known. */
  sizes: ReadonlyMap<string, number> = new Map();

  constructor(folder: string, resume: boolean, onEvent: OnTrainEvent, collective: Collective) {
    this.#folder = folder;
    this.#resume = resume;
    this.#onEvent = onEvent;
    this.#collective = collective;
  }

  get #isRoot(): boolean {
    return this.#collective.rank === 0;
  }

  #known(file: string): boolean {
    const here = this.#isRoot && this.#resume && existsSync(file);
    const known = numberOfRoot(this.#collective, Number(here)) === 1;
    if (known) this.#onEvent({ kind: 'log', text: `resumed: ${file}` });
    return known;
  }

  async json<T>(name: string, make: () => Promise<T>): Promise<T> {
    const file = join(this.#folder, `${name}.json`);
    const share = (text?: string) => JSON.parse(textOfRoot(this.#collective, text)) as T;
    if (this.#known(file)) return share(this.#isRoot ? await readFile(file, 'utf8') : undefined);
    this.#onEvent({ kind: 'stage', name, detail: '' });
    if (!this.#isRoot) return share();
    const text = JSON.stringify(await make());
    await writeFileAtomic(file, text);
    return share(text);
  }

  /** A result of another recipe is refused. */
  #checkSizes(file: string, stored: ReadonlyMap<string, Float32Array>): void {
    for (const [name, { length }] of stored) {
      const expected = this.sizes.get(name);
      if (expected !== length)
        throw new TrainError(
          `train: ${file}: ${name}: expected ${expected === undefined ? 'no such tensor' : `${expected} values`} in the model of this recipe, got ${length} values; try the recipe it was made with, or another --out`,
        );
    }
  }

  /** Parameters of a stage, trained by all ranks and stored flat. */
  async weights(
    name: string,
    train: () => Promise<ReadonlyMap<string, Float32Array>>,
  ): Promise<ReadonlyMap<string, Float32Array>> {
    const file = join(this.#folder, `${name}.safetensors`);
    if (this.#known(file)) {
      if (!this.#isRoot) return arraysOfRoot(this.#collective, undefined);
      const { tensors } = readSafetensors(await readFile(file));
      const stored = new Map([...tensors].map(([key, tensor]) => [key, decodeFloat32(tensor)]));
      this.#checkSizes(file, stored);
      return arraysOfRoot(this.#collective, stored);
    }
    this.#onEvent({ kind: 'stage', name, detail: '' });
    const weights = arraysOfRoot(this.#collective, await train());
    if (!this.#isRoot) return weights;
    const stored = [...weights].map(([key, data]) => ({
      name: key,
      shape: [data.length],
      dtype: 'F32' as const,
      data,
    }));
    await writeSafetensorsFile(file, stored).catch(async (error: unknown) => {
      const bytes = stored.reduce((sum, { data }) => sum + data.byteLength, 0);
      throw await notWritten('result', file, bytes, error, 'the checkpoints of the stage are kept');
    });
    await rm(checkpointsOf(join(this.#folder, '..'), name), { recursive: true, force: true });
    return weights;
  }
}
