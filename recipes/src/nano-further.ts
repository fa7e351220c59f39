/**
 * nano-further: takes the shipped nano up again and trains its backbone further; the decoder stays as it is.
 *
 * Paper: as nano.
 * Command: `unif2ace train nano-further --from nano --data CELEBA --out runs/nano-further`; stopped and gone on with by `--resume`.
 * Time and score: docs/lab.md; about 1.4 s a step of `told apart again` on two cores.
 */
import type { Recipe } from '@unif2ace/lab';
import nano from './nano.ts';

const { decoder: _, ...kept } = nano;
const stageOf = (name: string) => nano.backbone.find((stage) => stage.name === name)!;

const recipe: Recipe = {
  ...kept,
  name: 'nano-further',
  // other examples than those of the runs before
  seed: 9,
  backbone: [stageOf('told apart again'), stageOf('replies again')],
};

export default recipe;
