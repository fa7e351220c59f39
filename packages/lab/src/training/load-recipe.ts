import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AnyRecipe } from './any-recipe.ts';
import { describeError } from './describe-error.ts';
import { TrainError } from './events.ts';
import { checkRecipe } from './recipe-schema.ts';

/**
 * The recipe that a module exports as its default, JavaScript or TypeScript, checked.
 * @throws TrainError for a module that cannot be loaded and a recipe with a wrong field.
 */
export async function loadRecipe(url: string): Promise<AnyRecipe> {
  const name = basename(fileURLToPath(url));
  const module = await importModule(url).catch((error: unknown) => {
    throw new TrainError(`train: ${name}: expected a module that can be loaded, got ${describeError(error)}`);
  });
  // TypeScript outside of a package of ES modules is loaded as CommonJS, whose exports are the default
  const outer = module.default;
  const value = typeof outer === 'object' && outer !== null && 'default' in outer ? outer.default : outer;
  if (value === undefined)
    throw new TrainError(
      `train: ${name}: expected a module whose default export is a recipe, got exports ${Object.keys(module).join(', ') || 'of nothing'}; try export default { kind: 'model', … }`,
    );
  return checkRecipe(value, name);
}

async function importModule(url: string): Promise<{ default?: unknown }> {
  try {
    return (await import(url)) as { default?: unknown };
  } catch (error) {
    // Node before 22.18 does not load TypeScript by itself
    if ((error as NodeJS.ErrnoException).code !== 'ERR_UNKNOWN_FILE_EXTENSION') throw error;
    const { tsImport } = await import('tsx/esm/api');
    return (await tsImport(url, import.meta.url)) as { default?: unknown };
  }
}
