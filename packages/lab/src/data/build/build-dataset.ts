import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { loadAttributeClassifier } from '@unif2ace/core/node';
import { DataError } from '../celeba.ts';
import type { SourceTerms } from '../export/data-card.ts';
import { checkTarget, type ExportSummary, exportDataset } from '../export/export-dataset.ts';
import { LlmItemError } from '../llm/faults.ts';
import { isRejection } from '../sources/items.ts';
import { knownTerms } from '../sources/known-terms.ts';
import { kindOfSource, nameSources, openSources } from '../sources/open-source.ts';
import { NearDuplicates } from './duplicates.ts';
import { ensureFace, ensurePhoto, type FaceTask, type Tools } from './ensure.ts';
import { type Confidence, defaultConfidence, factsVersion } from './face-facts.ts';
import { GrammarCaptioner, GrammarQuestionWriter } from './grammar-writers.ts';
import { stageKey } from './keys.ts';
import { type BatchMode, settleBatches } from './llm-batches.ts';
import { emptyOptOut, type OptOutList } from './opt-out.ts';
import {
  attributesVersion,
  type DetectSettings,
  defaultDetectSettings,
  detectVersion,
  type PhotoResult,
} from './photo-stage.ts';
import { StageClock, type StageProgress } from './progress.ts';
import { splitOf } from './splits.ts';
import { type BuildStore, openLmdbStore } from './store.ts';
import type { Asking, Captioner, DatasetRecord, QuestionWriter, Rejection, SourcePhoto, StageName } from './types.ts';
import { validateRecord, validateVersion } from './validate.ts';
import { FaceWorkers, inOrder } from './worker-pool.ts';

export interface BuildOptions {
  /** Folders, archives or files of faces; `kind:path` forces a kind (see `openSource`). */
  sources: readonly string[];
  /** Folder of the data set. Intermediate results lie beside it in OUT.work. */
  out: string;
  /** Default 1. */
  seed?: number;
  settings?: Partial<DetectSettings>;
  confidence?: Confidence;
  /** Folder of the attribute classifier; null for labels alone. */
  classifierFolder: string | null;
  captioner?: Captioner;
  questionWriter?: QuestionWriter;
  optOut?: OptOutList;
  /** Leaves out faces whose known age is under 18. */
  adultsOnly?: boolean;
  /** Terms of sources for the data card; default: those of known data sets, by the kind of the source. */
  terms?: readonly SourceTerms[];
  /** Default: LMDB in OUT.work. */
  store?: BuildStore;
  /** Default: one thread a core. */
  threads?: number;
  /** Asks an endpoint again for what earlier runs gave up (it refused, or its answers were of no use). Default: it is not asked. */
  askAgain?: boolean;
  /** Has photos and faces worked on elsewhere before they are asked for here. */
  ahead?: WorkAhead;
  /** Captioner and question writer ask in batches: the build ends with BatchesPending until all are answered. */
  batch?: BatchMode;
  webDataset?: boolean;
  onProgress?: (progress: StageProgress) => void;
  signal?: AbortSignal;
}

/** Workers on other hosts that fill the store. */
export interface WorkAhead {
  photos(photos: readonly SourcePhoto[], tools: Tools): Promise<void>;
  faces(tasks: readonly FaceTask[], tools: Tools): Promise<void>;
}

export interface BuildSummary extends ExportSummary {
  photos: number;
  rejected: Rejection[];
  /** Items a second of each stage that was run. */
  perSecond: Partial<Record<StageName, number>>;
}

const itemsUnderWay = 128;

/** A face that is kept, and the photo that it is in. */
interface Kept {
  photo: SourcePhoto;
  hash: string;
  task: FaceTask;
}

/**
 * Builds a captioned, question-answered data set from sources of faces (paper §5). Results of each stage are kept by a key
 * of their inputs: a run that was stopped goes on where it was, and a later one does only what changed. The same sources
 * and options give the same bytes, however often the run was stopped.
 * @throws DataError for sources that cannot be read or an output folder that holds something else; BatchesPending.
 */
export async function buildDataset(options: BuildOptions): Promise<BuildSummary> {
  const out = resolve(options.out);
  await checkTarget(out);
  const terms = await termsOf(options);
  const settings = { ...defaultDetectSettings, ...options.settings };
  const { classifierFolder } = options;
  const classifierHash = classifierFolder ? (await loadAttributeClassifier(classifierFolder)).hash : null;
  const store = options.store ?? (await openLmdbStore(`${out}.work`));
  const workers = new FaceWorkers({ settings, classifierFolder }, options.threads);
  const clock = new StageClock(options.onProgress);
  const tools: Tools = {
    store,
    workers,
    settings,
    classifierHash,
    confidence: options.confidence ?? defaultConfidence,
    captioner: options.captioner ?? new GrammarCaptioner(),
    questionWriter: options.questionWriter ?? new GrammarQuestionWriter(),
  };
  try {
    const rejected: Rejection[] = [];
    const photos = await ingest(options, rejected, clock);
    await options.ahead?.photos(photos, tools);
    const kept = await detect(photos, options, tools, rejected, clock);
    const tasks = kept.map(({ task }) => task);
    await options.ahead?.faces(tasks, tools);
    if (options.batch) await settleBatches(tasks, tools, options.batch, options.signal);
    const summary = await exportDataset(records(kept, options, tools, rejected, clock), out, {
      title: 'Captioned faces',
      version: buildVersion(options, tools),
      sources: terms,
      stageVersions: {
        detect: detectVersion,
        attributes: classifierHash ? `${attributesVersion} ${classifierHash.slice(0, 12)}` : 'labels alone',
        facts: factsVersion,
        caption: tools.captioner.version,
        questions: tools.questionWriter.version,
        validate: validateVersion,
      },
      notes: () => ({
        'rejections.jsonl': rejected.map((rejection) => `${JSON.stringify(rejection)}\n`).join(''),
      }),
      ...(options.webDataset !== undefined && { webDataset: options.webDataset }),
      ...(options.signal && { signal: options.signal }),
    });
    clock.finish();
    return { ...summary, photos: photos.length, rejected, perSecond: clock.perSecond() };
  } finally {
    await workers.close();
    if (!options.store) await store.close();
  }
}

/** Terms of every source as given, or as known by its kind. @throws DataError for a name that no source has. */
async function termsOf({ sources, terms = [] }: BuildOptions): Promise<SourceTerms[]> {
  const named = nameSources(sources);
  const unknown = terms.find(({ name }) => !named.some((source) => source.name === name));
  if (unknown)
    throw new DataError(
      `data: expected terms of one of ${named.map(({ name }) => name).join(', ')}, got some of ${unknown.name}; try the name of a source`,
    );
  const all = await Promise.all(
    named.map(async ({ spec, name }): Promise<SourceTerms[]> => {
      const given = terms.find((entry) => entry.name === name);
      if (given) return [given];
      const known = knownTerms[await kindOfSource(spec)];
      return known ? [{ name, ...known }] : [];
    }),
  );
  return all.flat();
}

/** Changes with anything that changes the output, but for the photos themselves. */
function buildVersion(options: BuildOptions, tools: Tools): string {
  const { settings, classifierHash, confidence, captioner, questionWriter } = tools;
  const versions = [detectVersion, attributesVersion, factsVersion, validateVersion];
  const choices = [settings, classifierHash, confidence, captioner.version, questionWriter.version, options.seed ?? 1];
  return stageKey('build', '1', versions, choices).slice(0, 12);
}

async function ingest(options: BuildOptions, rejected: Rejection[], clock: StageClock): Promise<SourcePhoto[]> {
  const photos: SourcePhoto[] = [];
  clock.start('ingest');
  for await (const item of openSources(options.sources)) {
    options.signal?.throwIfAborted();
    if (isRejection(item)) rejected.push(item);
    else if (options.adultsOnly && item.ageYears !== undefined && item.ageYears < 18)
      rejected.push(leftOut(item, 'ingest', `expected an adult, got an age of ${item.ageYears}`));
    else photos.push(item);
    clock.tick();
  }
  if (photos.length === 0)
    throw new DataError(
      `data: expected photos in ${options.sources.join(', ')}, got none${rejected[0] ? ` (${rejected[0].name}: ${rejected[0].reason})` : ''}; try another folder`,
    );
  return photos;
}

const rejection = ({ source, name }: SourcePhoto, stage: StageName, reason: string): Rejection => ({
  source,
  name,
  stage,
  reason,
});

const leftOut = (photo: SourcePhoto, stage: StageName, reason: string): Rejection => ({
  ...rejection(photo, stage, reason),
  wanted: true,
});

/** Faces of all photos in their order, without duplicates and those who opted out. */
async function detect(
  photos: readonly SourcePhoto[],
  options: BuildOptions,
  tools: Tools,
  rejected: Rejection[],
  clock: StageClock,
): Promise<Kept[]> {
  const optOut = options.optOut ?? emptyOptOut;
  const seenPhotos = new Map<string, string>();
  const seenFaces = new NearDuplicates<string>();
  const kept: Kept[] = [];
  const asking = { run: randomUUID(), again: options.askAgain ?? false };
  clock.start('detect', photos.length);
  const worked = inOrder(photos, itemsUnderWay, async (photo) => {
    options.signal?.throwIfAborted();
    return { photo, ensured: await ensurePhoto(photo, tools) };
  });
  for await (const { photo, ensured } of worked) {
    clock.tick();
    const drop = (reason: string) => rejected.push(rejection(photo, 'detect', reason));
    const pass = (reason: string) => rejected.push(leftOut(photo, 'detect', reason));
    if (typeof ensured === 'string') {
      drop(ensured);
      continue;
    }
    const { hash, key, result } = ensured;
    if (optOut.files.has(hash)) {
      pass('opted out');
      continue;
    }
    const twin = seenPhotos.get(hash);
    if (twin) {
      pass(`expected a new photo, got the same bytes as ${twin}`);
      continue;
    }
    seenPhotos.set(hash, photo.name);
    result.rejected.forEach(drop);
    for (const face of result.faces) {
      if (optOut.matches(face.hash)) {
        pass('opted out');
        continue;
      }
      const near = seenFaces.find(face.hash);
      if (near) {
        pass(`expected a new face, got nearly the same picture as ${near}`);
        continue;
      }
      seenFaces.add(face.hash, photo.name);
      kept.push({ photo, hash, task: taskOf(photo, hash, key, face.index, options.seed ?? 1, asking) });
    }
  }
  return kept;
}

function taskOf(
  photo: SourcePhoto,
  hash: string,
  photoKey: string,
  index: number,
  seed: number,
  asking: Asking,
): FaceTask {
  const id = stageKey('face', '1', hash, index).slice(0, 32);
  return {
    id,
    photoKey,
    index,
    labels: photo.facts,
    seed: (Number.parseInt(id.slice(0, 8), 16) ^ seed) >>> 0,
    asking,
    ...(photo.caption !== undefined && { sourceCaption: photo.caption }),
  };
}

/** Finished rows in the order of the photos. */
async function* records(
  kept: readonly Kept[],
  options: BuildOptions,
  tools: Tools,
  rejected: Rejection[],
  clock: StageClock,
): AsyncGenerator<DatasetRecord, void, undefined> {
  clock.start('caption', kept.length);
  // many under way share one write to the disk
  const concurrency = tools.captioner.concurrency ?? itemsUnderWay;
  const described = inOrder(kept, concurrency, async (item) => {
    options.signal?.throwIfAborted();
    try {
      return { item, face: await ensureFace(item.task, tools, options.signal) };
    } catch (error) {
      if (error instanceof LlmItemError) return { item, fault: error.message };
      throw error;
    }
  });
  for await (const { item, face, fault } of described) {
    clock.tick();
    const { photo, hash, task } = item;
    if (!face) {
      rejected.push(rejection(photo, 'caption', fault));
      continue;
    }
    const stored = (await tools.store.get('photos', task.photoKey)) as PhotoResult;
    const { image, box, landmarks } = stored.faces.find(({ index }) => index === task.index)!;
    const { record, faults } = validateRecord({
      id: task.id,
      source: photo.source,
      name: photo.name,
      identity: photo.identity ?? null,
      split: splitOf(photo.source, photo.identity, hash),
      ageYears: photo.ageYears ?? null,
      image: new Uint8Array(image),
      width: tools.settings.size,
      height: tools.settings.size,
      box,
      landmarks,
      ...face,
    });
    for (const reason of faults) rejected.push(rejection(photo, 'validate', reason));
    if (record.captions.length > 0) yield record;
    else rejected.push(rejection(photo, 'validate', 'expected a sound caption, got none'));
  }
}
