import { faceCnn, type ModelConfig, modelScopes } from '@unif2ace/core';
import { FlatState, float32, input, linear, ParamScope, Philox, type Runtime } from '@unif2ace/graph';
import { type Attributes, attributeNames, unspokenAttributes } from '../data/grammar/attributes.ts';
import { binaryCrossEntropy } from './binary-cross-entropy.ts';
import { FaceOrder, type Faces, facePixels } from './face-batches.ts';
import { trainLoop } from './loop.ts';
import type { StageContext } from './stage.ts';
import { TrainGraph } from './train-graph.ts';

const learnt = attributeNames.filter((name) => !unspokenAttributes.includes(name));

/**
 * Trains the face encoder to tell the spoken attributes of training identities; the classifier on top is thrown away,
 * the embedding and the patch features below it are kept.
 */
export async function trainFaceEncoder(
  context: StageContext,
  config: ModelConfig,
  faces: Faces,
  labels: readonly Attributes[],
  runtime: Runtime,
): Promise<FlatState> {
  const { batch } = context.recipe.faceEncoder;
  const root = new ParamScope();
  const { face_BF } = faceCnn(
    modelScopes(root).faceEncoder,
    config.faceEncoder,
    input('pixels', [batch, 3, faces.size, faces.size]),
  );
  const head = root.at('attribute_head');
  const init = { kind: 'fanInUniform' as const, fanIn: config.faceEncoder.width };
  const logits = linear(
    face_BF,
    head.param('weight', [learnt.length, config.faceEncoder.width], init),
    head.param('bias', [learnt.length], init),
  );
  const loss = binaryCrossEntropy(logits, input('labels', [batch, learnt.length]));
  const state = new FlatState(root.specs()).initialize(context.recipe.seed);
  const graph = await TrainGraph.compile(loss, {}, root, state, { runtime });
  const random = new Philox(context.recipe.seed, 1);
  const order = new FaceOrder([...labels.keys()], random);
  await trainLoop({
    ...context.loop,
    stage: 'face encoder',
    graph,
    settings: context.recipe.faceEncoder,
    tokensPerStep: batch,
    metrics: () => ({}),
    batch: () => {
      const chosen = order.next(batch);
      const truth = chosen.flatMap((face) => learnt.map((name) => Number(labels[face]![name])));
      return {
        pixels: facePixels(
          faces,
          chosen,
          chosen.map(() => random.uniform() < 0.5),
        ),
        labels: float32(Float32Array.from(truth), [batch, learnt.length]),
      };
    },
  });
  await graph.release();
  return state;
}
