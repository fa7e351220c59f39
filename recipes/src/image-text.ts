/**
 * image-text: a small encoder in the manner of CLIP, trained on faces and the grammar's captions, for the CLIP expert (paper
 * §2.3) in place of CLIP ViT-L/14-336.
 *
 * Command: `unif2ace train image-text --data CELEBA --out weights/image-text`
 * Time and score: docs/lab.md.
 */
import { PhiConfig } from '@unif2ace/core';
import type { ImageTextRecipe } from '@unif2ace/lab';

const recipe: ImageTextRecipe = {
  kind: 'image-text',
  name: 'image-text',
  seed: 1,
  textVocabSize: 512,
  model: (textVocabSize) => ({
    image: { imageSize: 64, channels: [32, 64, 128], groups: 8, width: 128, patchPool: 2 },
    text: PhiConfig.parse({
      // and the end mark
      vocabSize: textVocabSize + 1,
      hiddenSize: 128,
      intermediateSize: 384,
      layers: 2,
      heads: 4,
      maxPositions: 96,
    }),
    textTokens: 96,
  }),
  training: {
    steps: 2000,
    batch: 64,
    learningRate: 2e-3,
    warmupSteps: 100,
    weightDecay: 0.05,
    clipNorm: 1,
    emaDecay: 0.995,
  },
  augmentation: { shiftPixels: 3, contrast: 0.25, brightness: 0.15, cutout: 0.2 },
  terms: 'CelebA training identities: non-commercial research only',
};

export default recipe;
