import { imageTokens, type ModelConfig, mmuLoss, type TextTokenizer, t2iLoss } from '@unif2ace/core';
import { add, FlatState, mul, ParamScope, Philox, type Runtime } from '@unif2ace/graph';
import type { Attributes } from '../data/grammar/attributes.ts';
import type { EncodedFaces } from './encode-faces.ts';
import { trainLoop } from './loop.ts';
import type { ModelStage } from './recipe.ts';
import { answerSlots, SequenceBatches } from './sequence-batches.ts';
import type { StageContext } from './stage.ts';
import { TrainGraph } from './train-graph.ts';

/**
 * Trains the backbone and its experts: D3Diff, next-token loss and balance terms in one step (paper §1.1, §2.2).
 * @param before parameters to go on from; none: fresh ones.
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
): Promise<FlatState> {
  const slots = answerSlots(config, stage);
  const root = new ParamScope();
  const t2i = t2iLoss(root, config, { batch: stage.t2iBatch, parameterization: stage.loss.parameterization });
  const mmu = mmuLoss(root, config, { batch: stage.mmuBatch, slots });
  const balance = add(t2i.balance, mmu.balance);
  const loss = add(add(t2i.loss, mul(mmu.loss, stage.mmuCoefficient)), mul(balance, stage.balanceCoefficient));
  const state = new FlatState(root.specs()).initialize(context.recipe.seed);
  for (const [name, values] of before ?? []) state.param(name).set(values);
  context.loop.onEvent({
    kind: 'log',
    text: `${(state.parameterCount / 1e6).toFixed(2)} M parameters in backbone and experts`,
  });
  const graph = await TrainGraph.compile(loss, { d3diff: t2i.loss, answers: mmu.loss, balance }, root, state, {
    runtime,
  });
  const batches = new SequenceBatches(config, tokenizer, faces, labels, stage, new Philox(context.recipe.seed, 3));
  const tokens = imageTokens(config);
  await trainLoop({
    ...context.loop,
    stage: stage.name,
    graph,
    settings: stage,
    tokensPerStep:
      stage.t2iBatch * (config.promptTokens + tokens + 3) +
      stage.mmuBatch * (slots.reduce((a, b) => a + b) + tokens + 3),
    metrics: (outputs) => ({
      d3diff: outputs.d3diff![0]!,
      answers: outputs.answers![0]!,
      balance: outputs.balance![0]! / 2,
    }),
    batch: () => batches.next(),
  });
  await graph.release();
  return state;
}
