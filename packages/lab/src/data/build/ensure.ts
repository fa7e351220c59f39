import { stat } from 'node:fs/promises';
import type { StatedAttributes } from '../grammar/attributes.ts';
import { type Confidence, factsVersion, mergeFacts } from './face-facts.ts';
import { promptsFor } from './grammar-writers.ts';
import { stageKey } from './keys.ts';
import { attributesVersion, type DetectSettings, detectVersion, type PhotoResult } from './photo-stage.ts';
import type { BuildStore } from './store.ts';
import type { Asking, Captioner, FactSource, Locator, QuestionWriter, RecordQuestion, SourcePhoto } from './types.ts';
import type { FaceWorkers } from './worker-pool.ts';

// Each function looks in the store for a stage's result and makes it where it is missing. They depend on their arguments
// alone, so that any process on any host may run them, and running one twice does no harm.

export interface Tools {
  store: BuildStore;
  workers: FaceWorkers;
  settings: DetectSettings;
  /** SHA-256 of the classifier's weights; null without one. */
  classifierHash: string | null;
  confidence: Confidence;
  captioner: Captioner;
  questionWriter: QuestionWriter;
}

/** A photo whose bytes were read: their hash, and where its faces are kept. */
export interface EnsuredPhoto {
  hash: string;
  key: string;
  result: PhotoResult;
}

/** Key under which the hash of a file's bytes is remembered; null where only reading tells. */
async function fileKey({ path, range, cell }: Locator): Promise<string | null> {
  try {
    const { size, mtimeMs } = await stat(path);
    return stageKey('file', '1', path, range ?? null, cell ?? null, size, mtimeMs);
  } catch {
    return null;
  }
}

function photoKey(hash: string, aligned: boolean, settings: DetectSettings): string {
  return stageKey('detect', detectVersion, hash, aligned, settings);
}

/** Faces of a photo; a string is the reason why it cannot be used. */
export async function ensurePhoto(
  photo: Pick<SourcePhoto, 'locator' | 'aligned'>,
  { store, workers, settings }: Pick<Tools, 'store' | 'workers' | 'settings'>,
): Promise<EnsuredPhoto | string> {
  const aligned = photo.aligned ?? false;
  const file = await fileKey(photo.locator);
  const known = file ? await store.get('files', file) : undefined;
  if (typeof known === 'string') {
    const key = photoKey(known, aligned, settings);
    const result = (await store.get('photos', key)) as PhotoResult | undefined;
    if (result) return { hash: known, key, result };
  }
  const reply = await workers.ask<'photo'>({ kind: 'photo', task: { locator: photo.locator, aligned } });
  if (reply.kind === 'unusable') return reply.reason;
  const key = photoKey(reply.hash, aligned, settings);
  await store.put('photos', [[key, reply.result]]);
  if (file) await store.put('files', [[file, reply.hash]]);
  return { hash: reply.hash, key, result: reply.result };
}

/** A face of which everything is to be said. */
export interface FaceTask {
  /** Id in the data set. */
  id: string;
  photoKey: string;
  /** 1-based, as in the photo's result. */
  index: number;
  labels: StatedAttributes;
  sourceCaption?: string;
  seed: number;
  asking?: Asking;
}

export interface DescribedFace {
  facts: StatedAttributes;
  factSources: Record<string, FactSource>;
  captions: string[];
  prompts: string[];
  questions: RecordQuestion[];
}

/** Attributes, captions and questions of a face. @throws LlmItemError when an endpoint cannot be brought to answer. */
export async function ensureFace(task: FaceTask, tools: Tools, signal?: AbortSignal): Promise<DescribedFace> {
  const { store, captioner, questionWriter } = tools;
  const image = async () => {
    const photo = (await store.get('photos', task.photoKey)) as PhotoResult | undefined;
    const face = photo?.faces.find(({ index }) => index === task.index);
    if (!face) throw new Error(`ensureFace: photo ${task.photoKey} has no face ${task.index}`);
    return new Uint8Array(face.image);
  };
  const { facts, factSources } = mergeFacts(task.labels, await probabilities(task, tools, image), tools.confidence);
  const face = {
    id: task.id,
    facts,
    factSources,
    image,
    seed: task.seed,
    ...(task.sourceCaption !== undefined && { sourceCaption: task.sourceCaption }),
    ...(task.asking && { asking: task.asking }),
  };
  const about = [task.photoKey, task.index, facts, factsVersion, task.sourceCaption ?? null, task.seed];
  const cached = async <T>(table: 'captions' | 'questions', key: string, make: () => Promise<T>): Promise<T> => {
    const known = await store.get(table, key);
    if (known !== undefined) return known as T;
    const made = await make();
    await store.put(table, [[key, made]]);
    return made;
  };
  const captions = await cached('captions', stageKey('caption', captioner.version, ...about), () =>
    captioner.caption(face, signal),
  );
  const refined = await cached('captions', stageKey('refine', captioner.version, ...about, captions), () =>
    captioner.refine(face, captions, signal),
  );
  const questions = await cached('questions', stageKey('questions', questionWriter.version, ...about, refined), () =>
    questionWriter.questions(face, refined, signal),
  );
  return { facts, factSources, captions: refined, prompts: promptsFor(face), questions };
}

/** The classifier's word, asked only where labels are silent about something it knows. */
async function probabilities(
  task: FaceTask,
  { store, workers, classifierHash, settings }: Tools,
  image: () => Promise<Uint8Array>,
): Promise<Record<string, number>> {
  if (!classifierHash || Object.keys(task.labels).length >= completeLabels) return {};
  const key = stageKey('attributes', attributesVersion, classifierHash, task.photoKey, task.index, settings.size);
  const known = (await store.get('attributes', key)) as Record<string, number> | undefined;
  if (known) return known;
  const reply = await workers.ask<'attributes'>({ kind: 'attributes', image: await image() });
  if (reply.kind === 'unusable') throw new Error(`ensureFace: ${reply.reason}`);
  await store.put('attributes', [[key, reply.probabilities]]);
  return reply.probabilities;
}

/** CelebA's labels leave nothing for the classifier to say. */
const completeLabels = 40;
