import {
  imageTokens,
  type LossGraph,
  type ModelConfig,
  mmuLoss,
  routingFigures,
  type TextTokenizer,
  t2iLoss,
} from '@unif2ace/core';
import { add, FlatState, mul, ParamScope, type Runtime, type Tensor } from '@unif2ace/graph';
import type { Attributes } from '../data/grammar/attributes.ts';
import type { EncodedFaces } from './encode-faces.ts';
import { TrainError } from './events.ts';
import { trainLoop } from './loop.ts';
import { RoutingMonitor, type RoutingSource } from './monitor/routing-monitor.ts';
import { Samples } from './monitor/samples.ts';
import type { ModelStage } from './recipe.ts';
import { answerSlots, SequenceBatches } from './sequence-batches.ts';
import { loopContext, namedParameters, partOf, type StageContext } from './stage.ts';
import { TrainGraph } from './train-graph.ts';

/** Parameters that serve one task alone; of the head, generation uses the rows of image codes and answers those of text. */
const ownParameters = {
  t2i: /[.](t2i|resamplers[.]noise)[.]|lm_head/,
  mmu: /[.](mmu|resamplers[.](face|clip))[.]|lm_head/,
} as const;

/**
 * Trains the backbone and its experts: D3Diff, next-token loss and balance terms in one step (paper §1.1, §2.2).
 * @param before parameters to go on from; none: fresh ones.
 * @returns all parameters of backbone and experts, those of `before` among them that the stage leaves alone.
 */
export async function trainBackbone(
  context: StageContext,
  stage: ModelStage,
  before: ReadonlyMap<string, Float32Array> | undefined,
  config: ModelConfig,
  tokenizer: TextTokenizer,
  faces: EncodedFaces,
  labels: readonly Attributes[],
  runtime: Runtime,
): Promise<Map<string, Float32Array>> {
  const { only } = stage;
  if (only && !before)
    throw new TrainError(
      `train: backbone: ${stage.name}: expected a stage of both tasks before one of ${only} only, got none; try it as a later stage`,
    );
  const slots = answerSlots(config, stage);
  const part = (field: 't2iBatch' | 'mmuBatch') => partOf(stage[field], stage, context.collective.size, field);
  const root = new ParamScope();
  const { parameterization } = stage.loss;
  const t2i =
    only !== 'mmu' &&
    t2iLoss(root, config, {
      batch: contrastedBatch(part('t2iBatch'), stage),
      contrastEvery: stage.contrast?.every,
      parameterization,
    });
  const mmu = only !== 't2i' && mmuLoss(root, config, { batch: part('mmuBatch'), slots });
  const { loss, metrics } = jointLoss(t2i || undefined, mmu || undefined, stage);
  const own = only && ownParameters[only];
  const state = new FlatState(root.specs().filter(({ name }) => !own || own.test(name))).initialize(
    context.recipe.seed,
  );
  const trained = new Set(state.specs.map(({ name }) => name));
  for (const [name, values] of before ?? []) if (trained.has(name)) state.param(name).set(values);
  context.onEvent({
    kind: 'log',
    text: `${(state.parameterCount / 1e6).toFixed(2)} M parameters in ${own ? `the experts of ${only}` : 'backbone and experts'}`,
  });
  const frozen = new Map([...(before ?? [])].filter(([name]) => !trained.has(name)));
  const { sources, outputs: routed } = routingOf({ t2i: t2i || undefined, mmu: mmu || undefined });
  const graph = await TrainGraph.compile(loss, { ...metrics, ...routed }, root, state, { runtime, frozen });
  const monitor = context.recipe.monitor ?? {};
  const routing = new RoutingMonitor(sources, {
    stage: stage.name,
    onEvent: context.onEvent,
    ...(monitor.routing && { settings: monitor.routing }),
  });
  const samples =
    context.collective.rank === 0 &&
    monitor.samples !== false &&
    new Samples(monitor.samples ?? {}, {
      stage: stage.name,
      folder: context.out,
      config,
      tokenizer,
      fixed: new Map([...context.weights, ...frozen]),
      validation: context.validation,
      runtime,
      onEvent: context.onEvent,
    });
  const batches = new SequenceBatches(config, tokenizer, faces, labels, stage, context.recipe.seed);
  const tokens = imageTokens(config);
  const t2iRows = stage.t2iBatch + (stage.contrast ? stage.t2iBatch / stage.contrast.every : 0);
  const t2iTokens = t2iRows * (config.promptTokens + tokens + 3);
  const mmuTokens = stage.mmuBatch * (slots.reduce((a, b) => a + b) + tokens + 3);
  await trainLoop({
    ...loopContext(context, stage.name, graph, stage),
    tokensPerStep: (t2i ? t2iTokens : 0) + (mmu ? mmuTokens : 0),
    metrics: (outputs) => Object.fromEntries(Object.keys(metrics).map((name) => [name, outputs[name]![0]!])),
    batch: (place) => batches.at(place),
    observer: {
      outputs: (values) => routing.add(values),
      stepDone: async (step, average) => {
        routing.stepDone(step);
        if (samples) await samples.stepDone(step, () => namedParameters(state, average), step === stage.steps);
      },
    },
  });
  await graph.release();
  return new Map([...frozen, ...namedParameters(state)]);
}

/** Sequences with true words of a part of the step. @throws TrainError where not every part has as many to contrast. */
function contrastedBatch(batch: number, { contrast }: ModelStage): number {
  if (contrast && batch % contrast.every !== 0)
    throw new TrainError(
      `train: contrast.every: expected a divisor of the ${batch} text-to-image sequences of a part, got ${contrast.every}; try another`,
    );
  return batch;
}

/** The figures of each task's routers as outputs of the training graph. */
function routingOf(tasks: { t2i: LossGraph | undefined; mmu: LossGraph | undefined }) {
  const sources: RoutingSource[] = [];
  const outputs: Record<string, Tensor> = {};
  for (const task of ['t2i', 'mmu'] as const) {
    const found = routingFigures(tasks[task]?.routings ?? []);
    if (!found) continue;
    const output = `routing.${task}`;
    outputs[output] = found.figures;
    sources.push({ task, output, places: found.places });
  }
  return { sources, outputs };
}

/** The loss of a step of both tasks, or of one: D3Diff, weighted next-token loss and balance terms, with figures to report. */
export function jointLoss(
  t2i: LossGraph | undefined,
  mmu: LossGraph | undefined,
  stage: Pick<ModelStage, 'mmuCoefficient' | 'balanceCoefficient' | 'contrast'>,
) {
  const parts = [t2i, mmu].filter((part) => part !== undefined);
  const balance = mul(
    parts.map((part) => part.balance).reduce((a, b) => add(a, b)),
    1 / parts.length,
  );
  const contrast = t2i?.contrast;
  const losses = [
    t2i?.loss,
    contrast && mul(contrast, stage.contrast!.coefficient),
    mmu && mul(mmu.loss, stage.mmuCoefficient),
  ].filter((part) => part !== undefined);
  const loss = losses.reduce((a, b) => add(a, b));
  const metrics: Record<string, Tensor> = {
    ...(t2i && { d3diff: t2i.loss }),
    ...(contrast && { contrast }),
    ...(mmu && { answers: mmu.loss }),
    balance,
  };
  return { loss: add(loss, mul(balance, stage.balanceCoefficient * parts.length)), metrics };
}
