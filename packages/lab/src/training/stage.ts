import type { FlatState } from '@unif2ace/graph';
import type { FaceRecord } from '../data/celeba.ts';
import { Checkpoints } from './checkpoints.ts';
import type { Collective } from './collective/collective.ts';
import { type OnTrainEvent, TrainError } from './events.ts';
import type { LoopRun, LoopSettings } from './loop.ts';
import type { Recipe } from './recipe.ts';
import type { TrainGraph } from './train-graph.ts';

/** What every stage of a run shares. */
export interface StageContext {
  recipe: Recipe;
  onEvent: OnTrainEvent;
  collective: Collective;
  signal?: AbortSignal;
  checkpointEvery?: LoopRun['checkpointEvery'];
  /** Folder of the run; faces of the validation split and all parameters that are trained so far, for samples. */
  out: string;
  validation: readonly FaceRecord[];
  weights: ReadonlyMap<string, Float32Array>;
  peakFlopsPerSecond?: number;
  /** Folder of the checkpoints of a stage. */
  checkpointFolder: (stage: string) => string;
}

/** What the loop needs to know of a run, its checkpoints included. */
export function loopContext(
  { onEvent, collective, signal, checkpointEvery, checkpointFolder, recipe, peakFlopsPerSecond }: StageContext,
  stage: string,
  graph: TrainGraph,
  settings: LoopSettings,
): Pick<
  LoopRun,
  | 'stage'
  | 'graph'
  | 'settings'
  | 'onEvent'
  | 'collective'
  | 'signal'
  | 'checkpoints'
  | 'checkpointEvery'
  | 'peakFlopsPerSecond'
> {
  const { specs } = graph.state;
  const layout = { seed: recipe.seed, stage, settings, specs: specs.map(({ name, shape }) => [name, shape]) };
  return {
    stage,
    graph,
    settings,
    onEvent,
    collective,
    ...(signal && { signal }),
    ...(checkpointEvery && { checkpointEvery }),
    ...(peakFlopsPerSecond && { peakFlopsPerSecond }),
    checkpoints: new Checkpoints(checkpointFolder(stage), {
      layout,
      onLog: (text) => onEvent({ kind: 'log', text }),
    }),
  };
}

/** Size of one part of a batch. @throws TrainError when the parts would differ. */
export function partOf(total: number, { accumulation = 1 }: LoopSettings, ranks: number, field: string): number {
  const parts = accumulation * ranks;
  if (total % parts !== 0)
    throw new TrainError(
      `train: ${field}: expected a multiple of ${ranks > 1 ? `${ranks} ranks times ` : ''}accumulation ${accumulation}, got ${total}; try ${Math.ceil(total / parts) * parts}`,
    );
  return total / parts;
}

/** Values of all parameters of a state, or of an array in its layout. */
export function namedParameters(state: FlatState, values = state.params): Map<string, Float32Array> {
  return new Map(
    state.specs.map(({ name }) => {
      const { start, end } = state.range(name);
      return [name, values.subarray(start, end)];
    }),
  );
}
