/**
 * nano-further: takes the shipped nano up again and trains its backbone further; the decoder stays as it is.
 *
 * Paper: as nano.
 * Command: `unif2ace train nano-further --from nano --data CELEBA --out runs/nano-further`; stopped and gone on with by `--resume`.
 * Time and score: docs/lab.md; about 1.7 s a step of `further` on two cores.
 */
import type { Recipe } from '@unif2ace/lab';
import nano from './nano.ts';

const { decoder: _, ...kept } = nano;
const stageOf = (name: string) => nano.backbone.find((stage) => stage.name === name)!;

/** What few faces have, and beards, of which only men are asked. */
const answersOfFew = {
  ...{ Eyeglasses: 4, Wearing_Hat: 2, Bangs: 6, Smiling: 4, gender: 2 },
  ...{ No_Beard: 6, Goatee: 6, Mustache: 6, Sideburns: 6, '5_o_Clock_Shadow': 6 },
  ...{ Big_Nose: 3, Pointy_Nose: 3, Bags_Under_Eyes: 3, Narrow_Eyes: 2, Blurry: 2 },
};

const recipe: Recipe = {
  ...kept,
  name: 'nano-further',
  // other examples than those of the runs before
  seed: 3,
  backbone: [
    {
      ...stageOf('words'),
      name: 'further',
      steps: 2300,
      // what the words did not move before: small things, and what few faces have or lack
      promptEmphasis: {
        share: 0.65,
        attributes: {
          ...{
            Eyeglasses: 8,
            Wearing_Hat: 5,
            Bangs: 4,
            Wearing_Lipstick: 5,
            No_Beard: 5,
            Young: 3,
            Smiling: 2,
            Bald: 3,
          },
          ...{ Goatee: 2, Mustache: 2, Gray_Hair: 1.5, Heavy_Makeup: 1, Male: 0.5 },
        },
      },
      topicEmphasis: answersOfFew,
    },
    { ...stageOf('replies'), steps: 600, topicEmphasis: answersOfFew },
  ],
};

export default recipe;
