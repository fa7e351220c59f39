import PgBoss from 'pg-boss';
import { DataError } from '../celeba.ts';
import { LlmItemError } from '../llm/faults.ts';
import type { WorkAhead } from './build-dataset.ts';
import { ensureFace, ensurePhoto, type FaceTask, type Tools } from './ensure.ts';
import type { Confidence } from './face-facts.ts';
import { GrammarCaptioner } from './grammar-writers.ts';
import { overOutages } from './outages.ts';
import { withoutPassword } from './pg-store.ts';
import type { DetectSettings } from './photo-stage.ts';
import type { SourcePhoto } from './types.ts';

const photosQueue = 'unif2ace-photos';
const facesQueue = 'unif2ace-faces';
const batch = 32;
/** A worker that died gives its batch back after this time; longer where an endpoint is asked. */
const leaseSeconds = 30;
const endpointLeaseSeconds = 900;
const pollMs = 300;
/** Error code of PostgreSQL. */
const deadlockDetected = '40P01';

type PhotoRef = Pick<SourcePhoto, 'locator' | 'aligned'>;

/** What a worker must have in common with the build to fill the same keys. */
interface Terms {
  settings: DetectSettings;
  confidence: Confidence;
  classifierHash: string | null;
  captionerVersion: string;
  questionWriterVersion: string;
}

interface PhotosJob extends Terms {
  photos: PhotoRef[];
}

interface FacesJob extends Terms {
  tasks: FaceTask[];
}

function termsOf({ settings, confidence, classifierHash, captioner, questionWriter }: Tools): Terms {
  return {
    settings,
    confidence,
    classifierHash,
    captionerVersion: captioner.version,
    questionWriterVersion: questionWriter.version,
  };
}

async function openBoss(url: string): Promise<PgBoss> {
  // batches of workers that died are given back by the maintenance alone
  const boss = new PgBoss({ connectionString: url, monitorStateIntervalSeconds: 10, maintenanceIntervalSeconds: 5 });
  // the server may restart: pg-boss polls again by itself
  boss.on('error', () => {});
  const create = async () => {
    await boss.start();
    for (const name of [photosQueue, facesQueue])
      await boss.createQueue(name, { name, retryLimit: 3, expireInSeconds: leaseSeconds, policy: 'standard' });
  };
  try {
    // several processes that make the queues at once can lock each other out; the database ends one, which tries again
    for (let left = 5; ; left--) {
      try {
        await create();
        break;
      } catch (error) {
        if (left === 0 || (error as { code?: string }).code !== deadlockDetected) throw error;
      }
    }
  } catch (error) {
    throw new DataError(
      `data: expected a job queue at ${withoutPassword(url)}, got ${(error as Error).message}; try whether PostgreSQL runs`,
    );
  }
  return boss;
}

const chunks = <T>(items: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(items.length / batch) }, (_, i) => items.slice(i * batch, (i + 1) * batch));

/**
 * Hands the work of a build to the workers on a queue and waits until none is left. What they could not do is left to the
 * build itself, which names each item that fails.
 */
export async function queueAhead(
  url: string,
  onWait?: (left: number) => void,
): Promise<WorkAhead & { close(): Promise<void> }> {
  const boss = await openBoss(url);
  const run = async (queue: string, jobs: readonly object[], endpoint = false) => {
    // jobs left by a build that was killed find their results in the store, and cost next to nothing
    const expireInSeconds = endpoint ? endpointLeaseSeconds : leaseSeconds;
    await overOutages(() => boss.insert(jobs.map((data) => ({ name: queue, data, expireInSeconds }))));
    for (;;) {
      const left = await overOutages(() => boss.getQueueSize(queue, { before: 'completed' }));
      onWait?.(left * batch);
      if (left === 0) return;
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  };
  return {
    photos: (photos, tools) =>
      run(
        photosQueue,
        chunks(photos).map(
          (part): PhotosJob => ({
            ...termsOf(tools),
            photos: part.map(({ locator, aligned }) => ({ locator, ...(aligned !== undefined && { aligned }) })),
          }),
        ),
      ),
    faces: (tasks, tools) =>
      run(
        facesQueue,
        chunks(tasks).map((part): FacesJob => ({ ...termsOf(tools), tasks: part })),
        !(tools.captioner instanceof GrammarCaptioner),
      ),
    close: () => boss.stop({ graceful: false, wait: false }),
  };
}

/**
 * Works on a queue until the signal: every photo and face of a batch goes through the same functions as in a build on one
 * host, and its result into the common store. A batch of another version is given back for a worker of that version.
 */
export async function workOnQueue(
  url: string,
  toolsFor: (settings: DetectSettings) => Tools,
  signal: AbortSignal,
  onBatch?: (kind: 'photos' | 'faces', count: number) => void,
): Promise<void> {
  const boss = await openBoss(url);
  const check = (job: Terms, tools: Tools) => {
    const own = termsOf({ ...tools, confidence: job.confidence });
    for (const key of ['classifierHash', 'captionerVersion', 'questionWriterVersion'] as const)
      if (own[key] !== job[key]) throw new Error(`expected ${key} ${job[key]}, this worker has ${own[key]}`);
  };
  try {
    await boss.work<PhotosJob>(photosQueue, { pollingIntervalSeconds: 0.5, batchSize: 1 }, async ([job]) => {
      const tools = toolsFor(job!.data.settings);
      await Promise.all(job!.data.photos.map((photo) => ensurePhoto(photo, tools)));
      onBatch?.('photos', job!.data.photos.length);
    });
    await boss.work<FacesJob>(facesQueue, { pollingIntervalSeconds: 0.5, batchSize: 1 }, async ([job]) => {
      const tools = { ...toolsFor(job!.data.settings), confidence: job!.data.confidence };
      check(job!.data, tools);
      const described = await Promise.allSettled(job!.data.tasks.map((task) => ensureFace(task, tools, signal)));
      // a face that cannot be answered is left to the build, which names it; the job is not done again for its sake
      const failed = described.find(
        (result) => result.status === 'rejected' && !(result.reason instanceof LlmItemError),
      ) as PromiseRejectedResult | undefined;
      if (failed) throw failed.reason;
      onBatch?.('faces', job!.data.tasks.length);
    });
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    await boss.stop({ graceful: true, wait: true, timeout: 10_000 });
  }
}
