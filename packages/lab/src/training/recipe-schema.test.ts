import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadRecipe } from './load-recipe.ts';
import { checkRecipe } from './recipe-schema.ts';
import { tinyRecipe, tinyStage } from './test/tiny-recipe.ts';

describe('a wrong recipe is refused by its field', () => {
  const tiny = tinyRecipe();
  const [first, second] = tiny.backbone as [(typeof tiny.backbone)[0], (typeof tiny.backbone)[0]];
  const model = (change: (config: ReturnType<typeof tiny.model>) => unknown) => ({
    ...tiny,
    model: (size: number) => change(tiny.model(size)),
  });
  test.each<[string, unknown, string]>([
    ['an unknown field', { ...tiny, colour: 1 }, 'colour: expected a known field, got an unknown one'],
    [
      'one deep inside',
      { ...tiny, backbone: [{ ...first, lerningRate: 1 }] },
      'backbone.0.lerningRate: expected a known',
    ],
    [
      'one of a choice',
      { ...tiny, faceEncoder: { ...tiny.faceEncoder, bach: 3 } },
      'faceEncoder.bach: expected a known',
    ],
    ['no steps', { ...tiny, tokenizer: { ...tiny.tokenizer, steps: 0 } }, 'tokenizer.steps: expected number to be >0'],
    ['a text', { ...tiny, seed: 'one' }, 'seed: expected number, received string'],
    ['no stage', { ...tiny, backbone: [] }, 'backbone: expected array to have >=1 items'],
    [
      'two stages of a name',
      { ...tiny, backbone: [first, { ...second, name: first.name }] },
      'backbone.1.name: expected another name than captions',
    ],
    [
      'a stage of the decoder with the name of another',
      { ...tiny, decoder: [{ ...tiny.tokenizer, name: first.name }] },
      'decoder.0.name: expected another name than captions',
    ],
    [
      'a stage named as a file of another',
      { ...tiny, backbone: [{ ...first, name: 'tokenizer' }] },
      'backbone.0.name: expected a name other than',
    ],
    [
      'nothing to learn from',
      { ...tiny, backbone: [{ ...first, mmuBatch: 0 }] },
      'backbone.0.mmuBatch: expected at least 1',
    ],
    [
      'contrast of nothing',
      { ...tiny, backbone: [{ ...first, contrast: { every: 1, coefficient: 1, scale: 1, fewestMasked: 0.5 } }] },
      'backbone.0.promptEmphasis: expected attributes to contrast',
    ],
    ['no function', { ...tiny, model: {} }, 'model: expected a function'],
    [
      'a vocabulary that does not fit',
      model((c) => ({ ...c, backbone: { ...c.backbone, phi: { ...c.backbone.phi, vocabSize: 7 } } })),
      'model.backbone.phi.vocabSize: expected 4',
    ],
    ['groups that do not divide channels', model((c) => ({ ...c, tokenizer: { ...c.tokenizer, groups: 3 } })), 'model'],
    [
      'a model that throws',
      model(() => {
        throw new Error('no idea');
      }),
      'model: expected a configuration, got no idea',
    ],
    ['another kind', { kind: 'dream' }, 'kind'],
    ['nothing', 5, 'recipe: expected object'],
  ])('%s', (_, recipe, message) => {
    expect(() => checkRecipe(recipe, 'my.ts')).toThrow(`train: my.ts: ${message}`);
  });
});

const attributes = {
  kind: 'attributes',
  name: 'few',
  seed: 1,
  config: {
    format: 'unif2ace-attributes-1',
    name: 'few',
    encoder: { imageSize: 8, channels: [8], groups: 4, width: 4, patchPool: 2 },
    attributes: ['Male'],
  },
  training: { ...tinyStage, batch: 2 },
  augmentation: { shiftPixels: 0, contrast: 0, brightness: 0, cutout: 0 },
};

describe('a recipe from a file', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'recipe-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const load = async (name: string, text: string) => {
    await writeFile(join(folder, name), text);
    return loadRecipe(pathToFileURL(join(folder, name)).href);
  };

  test('in TypeScript, and what is wrong with one', async () => {
    const settings = JSON.stringify(attributes);
    const recipe = await load('good.ts', `const recipe: object = ${settings};\nexport default recipe;\n`);
    expect(recipe).toEqual(attributes);
    await expect(load('empty.js', 'export const recipe = 1;')).rejects.toThrow(
      'train: empty.js: expected a module whose default export is a recipe, got exports recipe',
    );
    await expect(load('broken.mjs', 'import "no-such-package-here";')).rejects.toThrow(
      /^train: broken[.]mjs: expected a module that can be loaded, got .*no-such-package-here/,
    );
    await expect(load('wrong.mjs', `export default { ...${settings}, extra: 1 };`)).rejects.toThrow(
      'train: wrong.mjs: extra: expected a known field',
    );
  });
});
