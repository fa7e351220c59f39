/**
 * attributes: tells 38 attributes of an aligned face, for the data pipeline (paper §5: a classifier corrects and enriches
 * captions).
 *
 * Command: `unif2ace train attributes --data CELEBA --out weights/attributes`
 * Time and score: docs/lab.md.
 */
import { AttributeClassifierConfig } from '@unif2ace/core';
import { type AttributeRecipe, classifiedAttributes } from '@unif2ace/lab';

const recipe: AttributeRecipe = {
  kind: 'attributes',
  name: 'attributes',
  seed: 1,
  config: AttributeClassifierConfig.parse({
    format: 'unif2ace-attributes-1',
    name: 'attributes',
    encoder: { imageSize: 64, channels: [24, 48, 96], groups: 8, width: 192, patchPool: 2 },
    attributes: classifiedAttributes,
  }),
  training: {
    steps: 6000,
    batch: 48,
    learningRate: 2.5e-3,
    warmupSteps: 60,
    weightDecay: 0.05,
    clipNorm: 1,
    emaDecay: 0.995,
  },
  augmentation: { shiftPixels: 3, contrast: 0.25, brightness: 0.15, cutout: 0.25 },
};

export default recipe;
