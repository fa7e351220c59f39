import { layoutOf, MagvitConfig, ModelConfig } from '@unif2ace/core';
import { saveModel } from '@unif2ace/core/node';
import { initialize, type ParameterSpec, Philox, sizeOf } from '@unif2ace/graph';
import { trainBpe } from '@unif2ace/lab';

/** A random parameter, the same at every call. */
export function randomParameter(spec: ParameterSpec): Float32Array {
  const data = new Float32Array(sizeOf(spec.shape));
  initialize(spec, data, (...stream) => new Philox(3, ...stream));
  return data;
}

/** A model with random weights, small enough for a test. */
export async function saveTinyModel(
  folder: string,
  { promptTokens = 24, codeGroups = 1 }: { promptTokens?: number; codeGroups?: number } = {},
): Promise<void> {
  const bpe = trainBpe(
    ['a smiling woman with black hair', 'a man with a beard', 'USER: Is the man smiling? ASSISTANT: Yes.'],
    { vocabSize: 290 },
  );
  const levels = { channelMultiples: [1, 1], resBlocks: [1, 1] };
  const tokenizer = MagvitConfig.parse({
    channels: 8,
    codeBits: 6,
    codeGroups,
    groups: 4,
    encoder: levels,
    decoder: levels,
  });
  const { vocabSize } = layoutOf({ textVocabSize: bpe.vocabSize, tokenizer });
  const config = ModelConfig.parse({
    format: 'unif2ace-1',
    name: 'tiny',
    imageSize: 8,
    tokenizer,
    textVocabSize: bpe.vocabSize,
    promptTokens,
    guidance: 2,
    answerTokens: 80,
    faceEncoder: { imageSize: 8, channels: [8, 8], groups: 4, width: 8 },
    backbone: {
      phi: { vocabSize, hiddenSize: 16, intermediateSize: 32, layers: 2, heads: 2, maxPositions: 192 },
      tokenMoe: { router: { experts: 4, topK: 2 }, routedHidden: 8, sharedHidden: 16 },
      sequenceMoe: {},
      resampler: { sizes: { width: 16, depth: 1, heads: 2, headWidth: 8 }, shared: true },
      features: { face: { width: 8, tokens: 1 }, clip: { width: 8, tokens: 4 }, noise: { width: 16 } },
    },
  });
  await saveModel(folder, config, bpe.json, randomParameter);
}
