/**
 * nano-further: takes the shipped nano up again and trains its backbone further, by prompts that tell more of each face.
 *
 * Paper: as nano.
 * Command: `unif2ace train nano-further --from nano --data CELEBA --out runs/nano-further`; stopped and gone on with by `--resume`.
 * Time and score: docs/lab.md.
 */
import type { Recipe } from '@unif2ace/lab';
import nano from './nano.ts';

const stageOf = (name: string) => nano.backbone.find((stage) => stage.name === name)!;

const recipe: Recipe = {
  ...nano,
  name: 'nano-further',
  // other examples than those of the first run
  seed: 2,
  backbone: [
    // seven in eight short prompts say nothing of the mouth: most are lists here
    { ...stageOf('more'), name: 'words', steps: 2400, listedPrompts: 0.6 },
    stageOf('replies'),
  ],
};

export default recipe;
