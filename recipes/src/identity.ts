/**
 * identity: a small face-identity encoder, taught by the ONNX model of the npm package faceplugin-face-recognition-js (MIT
 * package; the origin of its weights is undocumented), for the Face expert (paper §2.3) in place of AntelopeV2.
 *
 * Before: `npm install --no-save --ignore-scripts faceplugin-face-recognition-js@0.0.1`
 * Command: `unif2ace train identity --data CELEBA --out weights/identity`
 * Time and score: docs/lab.md.
 */
import { createRequire } from 'node:module';
import type { IdentityRecipe } from '@unif2ace/lab';

const recipe: IdentityRecipe = {
  kind: 'identity',
  name: 'identity',
  seed: 1,
  encoder: { imageSize: 64, channels: [32, 64, 128], groups: 8, width: 128, patchPool: 2 },
  teacher: {
    config: {
      format: 'unif2ace-encoder-1',
      name: 'faceplugin fr_feature',
      purpose: 'face',
      // of the 89-pixel square the part 61 pixels wide, 14 from the left and from the top
      input: {
        name: 'input',
        size: 112,
        channels: 'rgb',
        mean: 127,
        deviation: 128,
        crop: [14 / 89, 14 / 89, 61 / 89],
      },
      output: { name: 'output', tokens: 1, width: 512 },
      unitLength: true,
      terms: 'npm faceplugin-face-recognition-js 0.0.1, MIT; origin of the weights undocumented',
    },
    file: () => createRequire(import.meta.url).resolve('faceplugin-face-recognition-js/model/fr_feature.onnx'),
  },
  training: {
    steps: 1200,
    batch: 64,
    learningRate: 2.5e-3,
    warmupSteps: 100,
    weightDecay: 0.05,
    clipNorm: 1,
    emaDecay: 0.995,
  },
  augmentation: { shiftPixels: 2, contrast: 0.2, brightness: 0.1, cutout: 0 },
  terms: 'CelebA training identities: non-commercial research only',
};

export default recipe;
