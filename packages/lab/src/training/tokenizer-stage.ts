import {
  lookupFreeQuantize,
  type ModelConfig,
  magvitDecoder,
  magvitEncoder,
  modelScopes,
  quantizerLosses,
} from '@unif2ace/core';
import { add, FlatState, input, ParamScope, type Runtime, reduceMean, square, sub } from '@unif2ace/graph';
import { type Faces, facePixels } from './face-batches.ts';
import { ImageOrder } from './face-order.ts';
import { trainLoop } from './loop.ts';
import { loopContext, namedParameters, partOf, type StageContext } from './stage.ts';
import { TrainGraph } from './train-graph.ts';

/** Trains the image tokenizer: mean squared error, commitment and entropy through the straight-through estimator. */
export async function trainTokenizer(
  context: StageContext,
  config: ModelConfig,
  faces: Faces,
  count: number,
  runtime: Runtime,
): Promise<Map<string, Float32Array>> {
  const settings = context.recipe.tokenizer;
  const batch = partOf(settings.batch, settings, 'tokenizer.batch');
  const root = new ParamScope();
  const { tokenizer } = modelScopes(root);
  const pixels = input('pixels', [batch, 3, faces.size, faces.size]);
  const { z_BCHW } = magvitEncoder(tokenizer.at('encoder'), config.tokenizer, pixels);
  const { codes_BCHW } = lookupFreeQuantize(z_BCHW);
  const { pixels_BCHW } = magvitDecoder(tokenizer.at('decoder'), config.tokenizer, codes_BCHW);
  const mse = reduceMean(square(sub(pixels_BCHW, pixels)));
  const { commitment, entropy } = quantizerLosses(config.tokenizer, z_BCHW, codes_BCHW);
  const state = new FlatState(root.specs()).initialize(context.recipe.seed);
  const graph = await TrainGraph.compile(
    add(mse, add(commitment, entropy)),
    { mse, commitment, entropy },
    root,
    state,
    { runtime },
  );
  const order = new ImageOrder(count, context.recipe.seed, 2);
  await trainLoop({
    ...loopContext(context, 'tokenizer', graph, settings),
    tokensPerStep: settings.batch * (z_BCHW.dim(2) * z_BCHW.dim(3)),
    // pixels span 2, so the peak is 4 in mean squared error
    metrics: (outputs) => ({
      psnrDb: 10 * Math.log10(4 / outputs.mse![0]!),
      commitment: outputs.commitment![0]!,
      entropy: outputs.entropy![0]!,
    }),
    batch: (place) => {
      const { faces: chosen, flipped } = order.batch(place, batch);
      return { pixels: facePixels(faces, chosen, flipped) };
    },
  });
  await graph.release();
  return namedParameters(state);
}
