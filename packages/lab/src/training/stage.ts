import type { OnTrainEvent } from './events.ts';
import type { Recipe } from './recipe.ts';

/** What every stage of a run shares. */
export interface StageContext {
  recipe: Recipe;
  loop: { onEvent: OnTrainEvent; signal?: AbortSignal };
}
