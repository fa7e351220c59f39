import { fileURLToPath } from 'node:url';
import { faceCnn, type ModelConfig, modelScopes } from '@unif2ace/core';
import { loadAttributeClassifier } from '@unif2ace/core/node';
import { buildModel, FlatState, float32, input, ParamScope, type Runtime } from '@unif2ace/graph';
import { type Attributes, attributeNames, unspokenAttributes } from '../data/grammar/attributes.ts';
import { binaryCrossEntropy } from './binary-cross-entropy.ts';
import { TrainError } from './events.ts';
import { type Faces, facePixels } from './face-batches.ts';
import { ImageOrder } from './face-order.ts';
import { trainLoop } from './loop.ts';
import { loopContext, namedParameters, partOf, type StageContext } from './stage.ts';
import { TrainGraph } from './train-graph.ts';

const learnt = attributeNames.filter((name) => !unspokenAttributes.includes(name));

/**
 * Trains the face encoder to tell the spoken attributes of training identities. Its embedding is their logits, each with
 * mean 0 and deviation 1 over the training faces: a rare attribute then speaks as loud as a frequent one, where the layer
 * that reads the embedding normalises it as a whole. A classifier trained before may give the encoder instead.
 * @throws TrainError when the embedding has not one number for each attribute, or the classifier has another encoder.
 */
export async function trainFaceEncoder(
  context: StageContext,
  config: ModelConfig,
  faces: Faces,
  labels: readonly Attributes[],
  runtime: Runtime,
): Promise<Map<string, Float32Array>> {
  const settings = context.recipe.faceEncoder;
  if (config.faceEncoder.width !== learnt.length)
    throw new TrainError(
      `train: faceEncoder.width: expected ${learnt.length}, one number for each attribute, got ${config.faceEncoder.width}; try ${learnt.length}`,
    );
  const batch =
    'batch' in settings ? partOf(settings.batch, settings, context.collective.size, 'faceEncoder.batch') : 1;
  const root = new ParamScope();
  const { face_BF } = faceCnn(
    modelScopes(root).faceEncoder,
    config.faceEncoder,
    input('pixels', [batch, 3, faces.size, faces.size]),
  );
  const state = new FlatState(root.specs()).initialize(context.recipe.seed);
  if ('classifier' in settings) {
    await takeClassifier(state, config, settings.classifier);
    await standardize(state, config, faces, labels.length, runtime);
    return namedParameters(state);
  }
  const loss = binaryCrossEntropy(face_BF, input('labels', [batch, learnt.length]));
  const graph = await TrainGraph.compile(loss, {}, root, state, { runtime });
  const order = new ImageOrder(labels.length, context.recipe.seed, 1);
  await trainLoop({
    ...loopContext(context, 'face encoder', graph, settings),
    tokensPerStep: settings.batch,
    metrics: () => ({}),
    batch: (place) => {
      const { faces: chosen, flipped } = order.batch(place, batch);
      const truth = chosen.flatMap((face) => learnt.map((name) => Number(labels[face]![name])));
      return {
        pixels: facePixels(faces, chosen, flipped),
        labels: float32(Float32Array.from(truth), [batch, learnt.length]),
      };
    },
  });
  await graph.release();
  await standardize(state, config, faces, labels.length, runtime);
  return namedParameters(state);
}

/** Fills the encoder from a classifier whose last two layers, both linear, become one. */
async function takeClassifier(state: FlatState, config: ModelConfig, url: string): Promise<void> {
  const folder = fileURLToPath(url);
  const { config: known, weights } = await loadAttributeClassifier(folder);
  const shapeOf = ({ width: _, ...rest }: ModelConfig['faceEncoder']) => JSON.stringify(Object.entries(rest).sort());
  if (shapeOf(known.encoder) !== shapeOf(config.faceEncoder))
    throw new TrainError(
      `train: faceEncoder: expected ${shapeOf(config.faceEncoder)}, got ${shapeOf(known.encoder)} in ${folder}; try the classifier's own sizes`,
    );
  const part = (name: string) => weights.get(name)!;
  const [head, headBias, inner, innerBias] = [
    part('head.weight'),
    part('head.bias'),
    part('encoder.embed.weight'),
    part('encoder.embed.bias'),
  ];
  const [width, inputs] = [innerBias.length, inner.length / innerBias.length];
  for (const { name } of state.specs) {
    const own = name.replace(/^face_encoder/, 'encoder');
    const target = state.param(name);
    if (!own.startsWith('encoder.embed.')) target.set(part(own));
  }
  const [weight, bias] = ['weight', 'bias'].map((name) => state.param(`face_encoder.embed.${name}`)) as [
    Float32Array,
    Float32Array,
  ];
  learnt.forEach((attribute, a) => {
    const row = known.attributes.indexOf(attribute);
    if (row < 0)
      throw new TrainError(`train: faceEncoder: expected ${attribute} among the attributes of ${folder}, got none`);
    bias[a] = headBias[row]!;
    weight.fill(0, a * inputs, (a + 1) * inputs);
    for (let j = 0; j < width; j++) {
      const factor = head[row * width + j]!;
      bias[a]! += factor * innerBias[j]!;
      for (let i = 0; i < inputs; i++) weight[a * inputs + i]! += factor * inner[j * inputs + i]!;
    }
  });
}

/** Faces over which mean and deviation are taken. */
const facesMeasured = 2048;
const batchMeasured = 64;

/** Folds mean and deviation of each output over training faces into the last layer. */
async function standardize(
  state: FlatState,
  config: ModelConfig,
  faces: Faces,
  count: number,
  runtime: Runtime,
): Promise<void> {
  const weights = namedParameters(state);
  const { imageSize, width } = config.faceEncoder;
  const { face_BF } = faceCnn(
    modelScopes(new ParamScope()).faceEncoder,
    config.faceEncoder,
    input('pixels', [batchMeasured, 3, imageSize, imageSize]),
  );
  const session = await runtime.createSession(buildModel({ face: face_BF }, { parameters: weights }));
  const [sums, squares] = [new Float64Array(width), new Float64Array(width)];
  const measured = Math.ceil(Math.min(facesMeasured, count) / batchMeasured) * batchMeasured;
  for (let first = 0; first < measured; first += batchMeasured) {
    const chosen = Array.from({ length: batchMeasured }, (_, i) => (first + i) % count);
    const { face } = await session.run({ pixels: facePixels(faces, chosen, []) });
    (face!.data as Float32Array).forEach((value, i) => {
      sums[i % width]! += value;
      squares[i % width]! += value * value;
    });
  }
  await session.release();
  const last = (part: string) => state.param(state.specs.find(({ name }) => name.endsWith(`embed.${part}`))!.name);
  const [weight, bias] = [last('weight'), last('bias')];
  const inputs = weight.length / width;
  for (let a = 0; a < width; a++) {
    const mean = sums[a]! / measured;
    const deviation = Math.sqrt(Math.max(1e-6, squares[a]! / measured - mean * mean));
    for (let i = a * inputs; i < (a + 1) * inputs; i++) weight[i]! /= deviation;
    bias[a] = (bias[a]! - mean) / deviation;
  }
}
