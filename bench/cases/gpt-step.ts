import { denseLayer, normLayer, phiMlp } from '@unif2ace/core';
import {
  add,
  attention,
  buildModel,
  constant,
  FlatState,
  gather,
  gradients,
  input,
  int32,
  linearCrossEntropy,
  ParamScope,
  Philox,
  reduceMean,
  reshape,
  type Tensor,
  transpose,
} from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { AdamW, clipGradNorm } from '@unif2ace/lab';
import type { BenchCase } from '../case.ts';

interface Sizes {
  layers: number;
  width: number;
  heads: number;
  length: number;
  batch: number;
  vocabulary: number;
}

/** A plain pre-norm GPT with tied head: what the engine's figures are about. */
function gptLoss(scope: ParamScope, s: Sizes, ids_BL: Tensor, targets_N: Tensor): Tensor {
  const { width, heads, length, batch } = s;
  const table_VD = scope.param('embed', [s.vocabulary, width], { kind: 'normal', std: 0.02 });
  const position_LD = scope.param('positions', [length, width], { kind: 'normal', std: 0.02 });
  const hidden = Float32Array.from({ length: length * length }, (_, i) =>
    i % length > Math.floor(i / length) ? -1e9 : 0,
  );
  const mask = constant(hidden, [1, 1, length, length]);
  let x = add(gather(table_VD, ids_BL), position_LD);
  for (let layer = 0; layer < s.layers; layer++) {
    const block = scope.at(layer);
    const normal = normLayer(block.at('norm1'), x, 1e-5);
    const split = (name: string) =>
      transpose(
        reshape(denseLayer(block.at(name), normal, width), [batch, length, heads, width / heads]),
        [0, 2, 1, 3],
      );
    const mixed = transpose(attention(split('q'), split('k'), split('v'), mask), [0, 2, 1, 3]);
    x = add(x, denseLayer(block.at('out'), reshape(mixed, [batch, length, width]), width));
    x = add(x, phiMlp(block, normLayer(block.at('norm2'), x, 1e-5), 4 * width));
  }
  const rows = reshape(normLayer(scope.at('norm'), x, 1e-5), [batch * length, width]);
  return reduceMean(linearCrossEntropy(rows, table_VD, null, targets_N));
}

/** One training step: forward, backward, clipping, AdamW. */
export async function gptStep(sizes: Sizes): Promise<BenchCase> {
  const { batch, length, vocabulary } = sizes;
  const scope = new ParamScope();
  const loss = gptLoss(
    scope,
    sizes,
    input('ids', [batch, length], 'int32'),
    input('targets', [batch * length], 'int32'),
  );
  const specs = scope.specs();
  const outputs = {
    loss,
    ...Object.fromEntries(gradients(loss, scope.tensors()).map((d, i) => [`grad.${specs[i]!.name}`, d])),
  };
  const session = await directRuntime().createSession(buildModel(outputs));
  const state = new FlatState(specs).initialize(1);
  const optimizer = new AdamW(state, { learningRate: 1e-3, weightDecay: 0.01, noDecay: () => false });
  const random = new Philox(7);
  const draw = (count: number) => Array.from({ length: count }, () => random.int(vocabulary));
  const feeds = {
    ...state.feeds(),
    ids: int32(draw(batch * length), [batch, length]),
    targets: int32(draw(batch * length), [batch * length]),
  };
  const lossValue = { dtype: 'float32' as const, shape: [], data: new Float32Array(1) };
  const fetches = { loss: lossValue, ...state.fetches('grad.') };
  return {
    run: async () => {
      await session.run(feeds, fetches);
      clipGradNorm(state.grads, 1);
      optimizer.step();
      return lossValue.data[0]!;
    },
    close: () => session.release(),
  };
}
