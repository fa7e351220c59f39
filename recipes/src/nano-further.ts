/**
 * nano-further: takes the shipped nano up again and trains its backbone further, then its decoder for the eye.
 *
 * Paper: as nano.
 * Command: `unif2ace train nano-further --from nano --data CELEBA --out runs/nano-further`; stopped and gone on with by `--resume`.
 * Time and score: not run yet; about 1.7 s a step of `both` on two cores.
 */
import type { Recipe } from '@unif2ace/lab';
import nano from './nano.ts';

const both = nano.backbone.at(-1)!;

const recipe: Recipe = {
  ...nano,
  name: 'nano-further',
  // other examples than those of the first run
  seed: 2,
  backbone: [{ ...both, name: 'further', steps: 6000, learningRate: 1e-3 }],
  decoder: {
    steps: 3000,
    batch: 16,
    learningRate: 5e-4,
    warmupSteps: 100,
    weightDecay: 0,
    clipNorm: 1,
    emaDecay: 0.998,
    perceptualWeight: 0.05,
    adversary: { weight: 0.01, fromStep: 200, channels: [32, 64, 96], learningRate: 5e-4 },
  },
};

export default recipe;
