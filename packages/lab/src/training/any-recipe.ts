import type { AttributeRecipe } from '../attributes/train-attributes.ts';
import type { IdentityRecipe } from '../encoders/train-identity.ts';
import type { ImageTextRecipe } from '../encoders/train-image-text.ts';
import type { Recipe } from './recipe.ts';

/** Every kind of training run that the command knows. */
export type AnyRecipe = Recipe | AttributeRecipe | IdentityRecipe | ImageTextRecipe;
