/**
 * nano-further: takes the shipped nano up again and trains its backbone further.
 *
 * Paper: as nano.
 * Command: `unif2ace train nano-further --from nano --data CELEBA --out runs/nano-further`; stopped and gone on with by `--resume`.
 * Time and score: not run yet; about 1.7 s a step of `both` on two cores.
 */
import type { Recipe } from '@unif2ace/lab';
import nano from './nano.ts';

const both = nano.backbone.find(({ name }) => name === 'both')!;

const recipe: Recipe = {
  ...nano,
  name: 'nano-further',
  // other examples than those of the first run
  seed: 2,
  backbone: [{ ...both, name: 'further', steps: 6000, learningRate: 1e-3 }],
};

export default recipe;
