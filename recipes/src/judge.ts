/**
 * judge: tells 38 attributes of an aligned face, to measure generated faces by (`unif2ace eval generation`). No model is trained
 * with it: its seed, depth and widths differ from those of recipe attributes, whose encoder nano takes.
 *
 * Command: `unif2ace train judge --data CELEBA --out weights/judge`
 * Time and score: docs/lab.md.
 */
import { AttributeClassifierConfig } from '@unif2ace/core';
import { type AttributeRecipe, classifiedAttributes } from '@unif2ace/lab';

const recipe: AttributeRecipe = {
  kind: 'attributes',
  name: 'judge',
  seed: 271,
  config: AttributeClassifierConfig.parse({
    format: 'unif2ace-attributes-1',
    name: 'judge',
    encoder: { imageSize: 64, channels: [16, 40, 80, 128], groups: 8, width: 128, patchPool: 1 },
    attributes: classifiedAttributes,
  }),
  training: {
    steps: 1500,
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
