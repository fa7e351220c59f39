import { BackboneConfig, layoutOf, MagvitConfig, ModelConfig } from '@unif2ace/core';
import type { Recipe } from '../recipe.ts';

const tokenizer = MagvitConfig.parse({
  channels: 8,
  codeBits: 4,
  groups: 4,
  encoder: { channelMultiples: [1, 1], resBlocks: [1, 1] },
  decoder: { channelMultiples: [1, 1], resBlocks: [1, 1] },
});
/** Settings of every tiny stage. */
export const tinyStage = {
  steps: 3,
  learningRate: 1e-3,
  warmupSteps: 1,
  weightDecay: 0.01,
  clipNorm: 1,
  emaDecay: 0.5,
};

export const tinyModelStage = {
  ...tinyStage,
  t2iBatch: 2,
  mmuBatch: 2,
  questionsPerFace: 2,
  answerBalance: [1, 0.5],
  questionTokens: 40,
  conditionDropout: 0.1,
  mmuCoefficient: 1,
  balanceCoefficient: 0.01,
  loss: { terms: 'both', alpha: 0.01, law: 'cosine', parameterization: 'normalized' },
} as const;

/** A recipe of a model so small that a run takes seconds. */
export function tinyRecipe(changes: Partial<Recipe> = {}): Recipe {
  return {
    kind: 'model',
    name: 'tiny',
    seed: 3,
    textVocabSize: 400,
    model: (textVocabSize) =>
      ModelConfig.parse({
        format: 'unif2ace-1',
        name: 'tiny',
        imageSize: 8,
        tokenizer,
        textVocabSize,
        promptTokens: 24,
        answerTokens: 64,
        faceEncoder: { imageSize: 8, channels: [8], groups: 4, width: 38, patchPool: 2 },
        backbone: BackboneConfig.parse({
          phi: {
            vocabSize: layoutOf({ textVocabSize, tokenizer }).vocabSize,
            hiddenSize: 16,
            intermediateSize: 32,
            layers: 1,
            heads: 2,
            maxPositions: 100,
          },
          tokenMoe: { router: { experts: 4, topK: 2 }, routedHidden: 8, sharedHidden: 8 },
          sequenceMoe: {},
          resampler: { sizes: { width: 8, depth: 1, heads: 2, headWidth: 4 }, shared: false },
          features: { face: { width: 38, tokens: 1 }, clip: { width: 8, tokens: 4 }, noise: { width: 8 } },
        }),
      }),
    faceEncoder: { ...tinyStage, batch: 4 },
    tokenizer: { ...tinyStage, batch: 4 },
    monitor: { samples: false, routing: { everySteps: 1, windowRecords: 2 } },
    backbone: [
      { ...tinyModelStage, name: 'captions', questionsPerFace: 0 },
      { ...tinyModelStage, name: 'questions' },
    ],
    ...changes,
  };
}
