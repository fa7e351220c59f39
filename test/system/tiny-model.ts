import {
  BackboneConfig,
  createTextTokenizer,
  type LoadedModel,
  layoutOf,
  MagvitConfig,
  ModelConfig,
  modelSpecs,
} from '@unif2ace/core';
import { initialize, Philox } from '@unif2ace/graph';
import { trainBpe } from '@unif2ace/lab';

const texts = [
  'a smiling woman with blond hair',
  'Is the person wearing a hat?',
  'Yes, the person is wearing a hat.',
  'USER: ASSISTANT:',
];

/** A model of a few thousand random parameters, every kind of expert in it: for tests of behaviour, not of quality. */
export function tinyModel(
  seed = 1,
  codeGroups = 1,
): LoadedModel & { tokenizerJson: ReturnType<typeof trainBpe>['json'] } {
  const bpe = trainBpe(texts, { vocabSize: 280, minPairCount: 1 });
  const tokenizer = MagvitConfig.parse({
    channels: 8,
    codeBits: 4,
    codeGroups,
    groups: 4,
    encoder: { channelMultiples: [1, 1], resBlocks: [1, 1] },
    decoder: { channelMultiples: [1, 1], resBlocks: [1, 1] },
  });
  const config = ModelConfig.parse({
    format: 'unif2ace-1',
    name: 'tiny',
    imageSize: 8,
    tokenizer,
    textVocabSize: bpe.vocabSize,
    promptTokens: 12,
    answerTokens: 40,
    guidance: 2,
    faceEncoder: { imageSize: 8, channels: [8, 8], groups: 4, width: 8 },
    backbone: BackboneConfig.parse({
      phi: {
        vocabSize: layoutOf({ textVocabSize: bpe.vocabSize, tokenizer }).vocabSize,
        hiddenSize: 16,
        intermediateSize: 32,
        layers: 2,
        heads: 2,
        maxPositions: 80,
      },
      tokenMoe: { router: { experts: 4, topK: 2 }, routedHidden: 8, sharedHidden: 8 },
      sequenceMoe: {},
      resampler: { sizes: { width: 8, depth: 1, heads: 2, headWidth: 4, feedForwardFactor: 2 }, shared: true },
      features: { face: { width: 8, tokens: 1 }, clip: { width: 8, tokens: 4 }, noise: { width: 8 } },
    }),
  });
  const weights = new Map(
    modelSpecs(config).map((spec) => {
      const data = new Float32Array(spec.shape.reduce((a, b) => a * b, 1));
      // wider than a real start, so that experts and positions differ visibly
      const init = spec.init.kind === 'normal' ? { ...spec.init, std: 0.3 } : spec.init;
      initialize({ ...spec, init }, data, (...stream) => new Philox(seed, ...stream));
      return [spec.name, data] as const;
    }),
  );
  return { config, tokenizer: createTextTokenizer(bpe.json), tokenizerJson: bpe.json, weights, hash: '0'.repeat(64) };
}
