import { parentPort, workerData } from 'node:worker_threads';
import { directRuntime } from '@unif2ace/graph/node';
import { describeError } from '../../training/describe-error.ts';
import { DataError } from '../celeba.ts';
import { type DetectSettings, FaceWorkshop, type PhotoResult, type PhotoTask } from './photo-stage.ts';

// Entry of a worker thread: reads photos and looks at faces, one request at a time.

export interface WorkerSetup {
  settings: DetectSettings;
  classifierFolder: string | null;
}

export type FaceRequest = { kind: 'photo'; task: PhotoTask } | { kind: 'attributes'; image: Uint8Array };

export type FaceReply =
  | { kind: 'photo'; hash: string; result: PhotoResult }
  | { kind: 'attributes'; probabilities: Record<string, number> }
  /** The item cannot be used; the run goes on. */
  | { kind: 'unusable'; reason: string }
  | { kind: 'failed'; message: string };

const { settings, classifierFolder } = workerData as WorkerSetup;
// one thread each: photos, not operators, are what runs in parallel
const workshop = new FaceWorkshop(directRuntime({ intraOpThreads: 1 }), classifierFolder);

async function answer(request: FaceRequest): Promise<FaceReply> {
  if (request.kind === 'attributes')
    return { kind: 'attributes', probabilities: await workshop.attributes(request.image) };
  try {
    const { bytes, hash } = await workshop.read(request.task.locator);
    return { kind: 'photo', hash, result: await workshop.photo(bytes, request.task.aligned, settings) };
  } catch (error) {
    if (error instanceof DataError) return { kind: 'unusable', reason: error.message };
    throw error;
  }
}

parentPort!.on('message', async (request: FaceRequest) => {
  const reply = await answer(request).catch((error): FaceReply => ({ kind: 'failed', message: describeError(error) }));
  parentPort!.postMessage(reply);
});
