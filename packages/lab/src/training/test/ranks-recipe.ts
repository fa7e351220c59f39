import { tinyRecipe } from './tiny-recipe.ts';

// Recipe module of the tests of several ranks, changed by the variable UNIF2ACE_TEST_RECIPE.

const changes = JSON.parse(process.env.UNIF2ACE_TEST_RECIPE ?? '{}') as RecipeChanges;

/** What a test changes: the stage of the backbone, and fields of the recipe. */
export interface RecipeChanges {
  stage?: object;
  recipe?: object;
  /** Weight of the tokenizer's entropy terms. */
  entropyWeight?: number;
}

/** The tiny recipe with changes and the last stage of the backbone alone. */
export function changedRecipe(changes: RecipeChanges) {
  const { backbone, model, ...rest } = tinyRecipe(changes.recipe);
  return {
    ...rest,
    model: (textVocabSize: number) => {
      const config = model(textVocabSize);
      const { entropyWeight = config.tokenizer.entropyWeight } = changes;
      return { ...config, tokenizer: { ...config.tokenizer, entropyWeight } };
    },
    backbone: backbone.slice(-1).map((part) => ({ ...part, ...changes.stage })),
  };
}

let nowMs = 0;
/** A clock that leaps at each look, so that progress reports every step. */
export function leapingClock(): number {
  nowMs += 501;
  return nowMs;
}

// in the training thread of a rank
if (process.env.UNIF2ACE_TEST_RECIPE) performance.now = leapingClock;

export default changedRecipe(changes);
