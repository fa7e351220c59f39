/**
 * pico: the smallest model that does the whole job, on real faces.
 *
 * Paper: §1 (D3Diff, α = 0.01, cosine masks), §2 (token-level and sequence-level experts in both task groups). Answers
 * first, then both tasks, then faces; own face encoder in place of AntelopeV2 and CLIP.
 * Command: `unif2ace train pico --data CELEBA --out runs/pico`
 * Time and score (two cores): 19 minutes; tokenizer 21.1 dB, gender 95.8 %, eyeglasses 96.2 % (docs/lab.md).
 */
import { BackboneConfig, layoutOf, MagvitConfig, ModelConfig } from '@unif2ace/core';
import type { Recipe } from '@unif2ace/lab';

const tokenizer = MagvitConfig.parse({
  channels: 32,
  codeBits: 10,
  groups: 8,
  encoder: { channelMultiples: [1, 1, 2], resBlocks: [1, 1, 1] },
  decoder: { channelMultiples: [1, 1, 2], resBlocks: [1, 1, 1] },
});
const faceEncoder = { imageSize: 64, channels: [16, 32, 64], groups: 8, width: 38, patchPool: 2 };

/** What both stages of the backbone share. */
const stage = {
  questionTokens: 26,
  learningRate: 2e-3,
  warmupSteps: 60,
  weightDecay: 0.02,
  clipNorm: 1,
  emaDecay: 0.99,
  conditionDropout: 0.15,
  questionsPerFace: 3,
  // rare, and the first that people try
  topicEmphasis: { Eyeglasses: 8, Wearing_Hat: 4, Bangs: 3 },
  balanceCoefficient: 0.01,
  loss: { terms: 'both', alpha: 0.01, law: 'cosine', parameterization: 'normalized' },
} as const;

const recipe: Recipe = {
  kind: 'model',
  name: 'pico',
  seed: 1,
  textVocabSize: 512,
  model: (textVocabSize) =>
    ModelConfig.parse({
      format: 'unif2ace-1',
      name: 'pico',
      imageSize: 32,
      tokenizer,
      textVocabSize,
      promptTokens: 28,
      answerTokens: 46,
      confidenceTemperature: 36,
      faceEncoder,
      backbone: BackboneConfig.parse({
        phi: {
          vocabSize: layoutOf({ textVocabSize, tokenizer }).vocabSize,
          hiddenSize: 128,
          intermediateSize: 512,
          layers: 3,
          heads: 4,
          maxPositions: 160,
        },
        tokenMoe: { router: { experts: 8, topK: 4 }, routedHidden: 64, sharedHidden: 128 },
        sequenceMoe: {},
        resampler: {
          sizes: {
            width: 64,
            depth: 1,
            heads: 2,
            headWidth: 32,
            feedForwardFactor: 2,
            selfAttend: false,
            latentStd: 1,
          },
          shared: true,
        },
        features: { face: { width: 38, tokens: 1 }, clip: { width: 64, tokens: 16 }, noise: { width: 64 } },
      }),
    }),
  faceEncoder: {
    steps: 1300,
    batch: 64,
    learningRate: 3e-3,
    warmupSteps: 30,
    weightDecay: 0.02,
    clipNorm: 1,
    emaDecay: 0.98,
  },
  tokenizer: {
    steps: 900,
    batch: 32,
    learningRate: 2e-3,
    warmupSteps: 50,
    weightDecay: 0,
    clipNorm: 1,
    emaDecay: 0.99,
  },
  backbone: [
    // answers nearly alone: beside many image tokens, reading the features is learnt slowly
    {
      ...stage,
      name: 'answers',
      steps: 350,
      t2iBatch: 2,
      mmuBatch: 32,
      answerBalance: [1, 0.3],
      mmuCoefficient: 200,
    },
    { ...stage, name: 'both', steps: 750, t2iBatch: 32, mmuBatch: 20, answerBalance: [1, 0.3], mmuCoefficient: 10 },
    // what both share was bent to the answers: the experts of generation settle on it, and no answer changes
    {
      ...stage,
      name: 'faces',
      only: 't2i',
      steps: 400,
      t2iBatch: 48,
      mmuBatch: 0,
      answerBalance: [1, 0.3],
      mmuCoefficient: 0,
    },
  ],
};

export default recipe;
