import { writeSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { directRuntime } from '@unif2ace/graph/node';
import { trainAttributes } from '../attributes/train-attributes.ts';
import { trainIdentity } from '../encoders/train-identity.ts';
import { trainImageText } from '../encoders/train-image-text.ts';
import { launchedRank, threadsOfRank } from './collective/launch.ts';
import type { MpiCollective } from './collective/mpi.ts';
import { describeError } from './describe-error.ts';
import { type TrainEvent, TrainStopped } from './events.ts';
import { loadRecipe } from './load-recipe.ts';
import { measurePeakFlops } from './monitor/machine-peak.ts';
import { type RunOptions, runRecipe } from './run-recipe.ts';
import type { WorkerMessage, WorkerRun } from './train-in-worker.ts';

// Entry of the training thread: runs one recipe and reports. Under mpirun it is a rank of the job.

const { recipeUrl, options } = workerData as WorkerRun;
const stop = new AbortController();
parentPort!.on('message', () => stop.abort());
const send = (message: WorkerMessage) => parentPort!.postMessage(message);

async function train({
  collective,
  runtime = directRuntime(),
}: Pick<RunOptions, 'collective' | 'runtime'>): Promise<WorkerMessage> {
  const recipe = await loadRecipe(recipeUrl);
  const run: RunOptions = {
    ...options,
    ...(collective && { collective }),
    runtime,
    peakFlopsPerSecond: await measurePeakFlops(runtime),
    signal: stop.signal,
    onEvent: (event: TrainEvent) => send({ kind: 'event', event }),
  };
  if (recipe.kind === 'attributes') {
    const { meanAreaUnderRoc, meanCalibrationError } = await trainAttributes(recipe, run);
    return { kind: 'done', recipeKind: recipe.kind, scores: { meanAreaUnderRoc, meanCalibrationError } };
  }
  if (recipe.kind === 'identity')
    return { kind: 'done', recipeKind: recipe.kind, scores: { ...(await trainIdentity(recipe, run)) } };
  if (recipe.kind === 'image-text')
    return { kind: 'done', recipeKind: recipe.kind, scores: { ...(await trainImageText(recipe, run)) } };
  await runRecipe(recipe, run);
  return { kind: 'done', recipeKind: recipe.kind, scores: {} };
}

/** Other ranks wait for one that cannot go on: it says why and ends them all. */
async function failTogether(mpi: MpiCollective, error: unknown): Promise<never> {
  // what fails everywhere is said once, by rank 0
  if (mpi.rank > 0) await setTimeout(1000);
  if (!stop.signal.aborted) writeSync(2, `rank ${mpi.rank} of ${mpi.size}: ${describeError(error)}\n`);
  return mpi.abort(1);
}

async function trainAsRank(): Promise<WorkerMessage> {
  // only here: a process alone needs no MPI
  const { openMpi } = await import('./collective/mpi.ts');
  const mpi = openMpi();
  try {
    const message = await train({
      collective: mpi,
      runtime: directRuntime({ intraOpThreads: threadsOfRank() }),
    });
    mpi.close();
    return message;
  } catch (error) {
    if (!(error instanceof TrainStopped)) return failTogether(mpi, error);
    // all ranks stop at the same step
    mpi.close();
    throw error;
  }
}

const work = launchedRank() === undefined ? train({}) : trainAsRank();
await work.then(send, (error) => send({ kind: 'failed', message: describeError(error) }));
parentPort!.close();
