import { mmuLoss, t2iLoss } from '@unif2ace/core';
import { FlatState, ParamScope } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import {
  AdamW,
  answerSlots,
  clipGradNorm,
  isUndecayed,
  jointLoss,
  moveAverage,
  type Recipe,
  SequenceBatches,
  TrainGraph,
} from '@unif2ace/lab';
import type { BenchCase } from '../case.ts';
import { nanoSetup } from '../nano-setup.ts';

/** One step of the backbone's training as the trainer takes it: batch from memory, both losses, gradients, AdamW, average. */
export async function nanoStep(recipe: Recipe, { faces: count }: { faces: number }): Promise<BenchCase> {
  const { config, stage, tokenizer, labels, faces } = nanoSetup(recipe, count);
  const root = new ParamScope();
  const t2i = t2iLoss(root, config, { batch: stage.t2iBatch });
  const mmu = mmuLoss(root, config, { batch: stage.mmuBatch, slots: answerSlots(config, stage) });
  const { loss, metrics } = jointLoss(t2i, mmu, stage);
  const state = new FlatState(root.specs()).initialize(1);
  const graph = await TrainGraph.compile(loss, metrics, root, state, { runtime: directRuntime() });
  const batches = new SequenceBatches(config, tokenizer, faces, labels, stage, 1);
  const { learningRate, weightDecay } = stage;
  const optimizer = new AdamW(state, { learningRate, betas: [0.9, 0.99], weightDecay, noDecay: isUndecayed });
  const average = state.params.slice();
  let step = 0;
  return {
    run: async () => {
      const outputs = await graph.run(batches.at({ step: step++ % stage.steps, part: 0, parts: 1 }));
      clipGradNorm(state.grads, stage.clipNorm);
      optimizer.step();
      moveAverage(average, state.params, stage.emaDecay);
      return outputs.loss![0]!;
    },
    close: () => graph.release(),
  };
}
