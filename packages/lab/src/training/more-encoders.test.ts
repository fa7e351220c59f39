import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  collect,
  type FaceCnnConfig,
  type FrozenEncoderConfig,
  faceCnn,
  ModelConfig,
  type PixelImage,
  pixelImage,
  UniF2ace,
} from '@unif2ace/core';
import { loadFrozenEncoder, loadModel } from '@unif2ace/core/node';
import { FlatState, input, ParamScope, Philox } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyCelebA } from '../data/build/test/tiny-celeba.ts';
import { saveSmallEncoder, smallEncoderOnnx } from '../encoders/small-encoder.ts';
import type { Recipe } from './recipe.ts';
import { runRecipe } from './run-recipe.ts';
import { namedParameters } from './stage.ts';
import { tinyModelStage, tinyRecipe } from './test/tiny-recipe.ts';

const identity: FaceCnnConfig = { imageSize: 8, channels: [8], groups: 4, width: 5, patchPool: 2 };
const imageText: FaceCnnConfig = { imageSize: 8, channels: [12], groups: 4, width: 6, patchPool: 2 };

let root: string;
const at = (name: string) => join(root, name);
const urlOf = (name: string) => pathToFileURL(`${at(name)}/`).href;
const runtime = directRuntime();

/** A random encoder as its training would write it. */
async function writeEncoder(
  name: string,
  config: FaceCnnConfig,
  purpose: FrozenEncoderConfig['purpose'],
  output: FrozenEncoderConfig['output'],
) {
  const scope = new ParamScope();
  faceCnn(scope.at('net'), config, input('pixels', [1, 3, 8, 8]));
  const state = new FlatState(scope.specs()).initialize(output.width);
  // as float16 keeps them
  const weights = new Map(
    [...namedParameters(state)].map(([key, data]) => [key, data.map((value) => Math.round(value * 512) / 512)]),
  );
  const description: FrozenEncoderConfig = {
    format: 'unif2ace-encoder-1',
    name,
    purpose,
    input: { name: 'pixels', size: 8, channels: 'rgb', mean: 127.5, deviation: 127.5, crop: [0, 0, 1] },
    output,
    unitLength: purpose === 'face',
    terms: 'none',
  };
  const network = { config, weights, prefix: 'net' };
  const onnx = smallEncoderOnnx(description, network, ({ face_BF, patches_BPC }) => ({
    embedding: face_BF,
    patches: patches_BPC,
  }));
  await saveSmallEncoder(at(name), description, network, onnx);
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'more-encoders-'));
  await writeTinyCelebA(at('celeba'), 30, 1, (i) => i);
  await writeEncoder('identity', identity, 'face', { name: 'embedding', tokens: 1, width: 5 });
  await writeEncoder('image-text', imageText, 'clip', { name: 'patches', tokens: 4, width: 12 });
  await runRecipe(deeper(tinyRecipe()), { out: at('before'), dataFolder: at('celeba'), onEvent: () => {} });
  await train(grownRecipe(1e-30), 'begun', 'before');
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** With a second layer: what the experts of the last one read never reaches an answer. */
function deeper(recipe: Recipe): Recipe {
  return {
    ...recipe,
    model: (size) => {
      const { backbone, ...rest } = recipe.model(size);
      return { ...rest, backbone: { ...backbone, phi: { ...backbone.phi, layers: 2 } } };
    },
  };
}

/** The tiny recipe, whose answers alone are trained further by `rate`, with both encoders in its model. */
function grownRecipe(learningRate: number, encoders = true): Recipe {
  const tiny = deeper(tinyRecipe());
  return {
    ...tiny,
    backbone: [
      { ...tinyModelStage, name: 'answers', only: 'mmu', learningRate, weightDecay: 0, steps: 20, mmuBatch: 4 },
    ],
    model: (size) => {
      const { backbone, ...rest } = tiny.model(size);
      const { noise } = backbone.features;
      const features = { face: { width: 43, tokens: 1 }, clip: { width: 20, tokens: 4 }, noise };
      return ModelConfig.parse({
        ...rest,
        identityEncoder: identity,
        imageTextEncoder: imageText,
        backbone: { ...backbone, features },
      });
    },
    ...(encoders && { encoders: { identityEncoder: urlOf('identity'), imageTextEncoder: urlOf('image-text') } }),
  };
}

const train = (recipe: Recipe, out: string, from: string) =>
  runRecipe(recipe, { out: at(out), dataFolder: at('celeba'), from: at(from), onEvent: () => {} });

const random = new Philox(4);
const photos: PixelImage[] = [1, 2].map(() =>
  pixelImage(
    8,
    8,
    Uint8Array.from({ length: 192 }, () => random.int(256)),
  ),
);

/** What a model makes of the photos. */
async function seen(folder: string) {
  const model = new UniF2ace(await loadModel(at(folder)), runtime);
  const answers = await Promise.all(
    photos.map((photo) => collect(model.ask(photo, 'Is it a hat?', { maxTokens: 12 }))),
  );
  const { face, clip } = await model.features(photos);
  await model.close();
  return { answers, face: face!, clip: clip! };
}

const numbers = ({ data }: { data: unknown }) => [...(data as Float32Array)];

describe('a model that reads an identity and an image-text encoder too', () => {
  test('begins as the one before: its answers are the same, and its features are those of all encoders', async () => {
    const [before, begun] = await Promise.all([seen('before'), seen('begun')]);
    expect(begun.answers).toEqual(before.answers);
    expect(begun.face.shape).toEqual([2, 1, 43]);
    expect(begun.clip.shape).toEqual([2, 4, 20]);
    const [unit, patches] = await Promise.all(
      ['identity', 'image-text'].map(async (name) => {
        const encoder = await loadFrozenEncoder(at(name), runtime);
        return numbers(await encoder.encode(photos));
      }),
    );
    const rows = (values: number[], width: number) =>
      Array.from({ length: values.length / width }, (_, i) => values.slice(i * width, (i + 1) * width));
    const near = (got: number[], expected: number[]) => {
      expect(got).toHaveLength(expected.length);
      got.forEach((value, i) => {
        expect(value).toBeCloseTo(expected[i]!, 4);
      });
    };
    rows(numbers(begun.face), 43).forEach((row, photo) => {
      near(row.slice(0, 38), rows(numbers(before.face), 38)[photo]!);
      near(
        row.slice(38),
        rows(unit!, 5)[photo]!.map((value) => value * Math.sqrt(5)),
      );
    });
    rows(numbers(begun.clip), 20).forEach((row, patch) => {
      near(row.slice(0, 8), rows(numbers(before.clip), 8)[patch]!);
      near(row.slice(8), rows(patches!, 12)[patch]!);
    });
  });

  test('learns to read them, and goes on where their folders are no longer there', async () => {
    await train(grownRecipe(1e-2), 'learnt', 'begun');
    const [{ weights: begun }, { weights: learnt }] = await Promise.all([
      loadModel(at('begun')),
      loadModel(at('learnt')),
    ]);
    for (const [kind, width, own] of [
      ['face', 43, 38],
      ['clip', 20, 8],
    ] as const) {
      const name = [...learnt.keys()].find((key) => key.includes(`.${kind}.proj_in.weight`))!;
      const added = (data: Float32Array) => [...data].filter((_, i) => i % width >= own);
      expect(added(begun.get(name)!).every((value) => value === 0)).toBe(true);
      expect(added(learnt.get(name)!).some((value) => value !== 0)).toBe(true);
    }
    for (const [name, data] of learnt)
      if (/^(identity|image_text|face)_encoder/.test(name)) expect(data, name).toEqual(begun.get(name));
    await rename(at('identity'), at('elsewhere'));
    try {
      await train(grownRecipe(1e-2), 'on', 'learnt');
      await expect(train(grownRecipe(1e-2), 'lost', 'before')).rejects.toThrow(
        /encoder.safetensors: expected the parameters of a trained encoder, got ENOENT; try/,
      );
    } finally {
      await rename(at('elsewhere'), at('identity'));
    }
  });

  test('other sizes than the folder has, and no folder at all, are refused', async () => {
    const recipe = grownRecipe(1e-2);
    const swapped = { identityEncoder: urlOf('image-text'), imageTextEncoder: urlOf('image-text') };
    await expect(train({ ...recipe, encoders: swapped }, 'swapped', 'before')).rejects.toThrow(
      /encoder.safetensors: .*: expected floats \[.*\], got F16\[/,
    );
    await expect(train(grownRecipe(1e-2, false), 'none', 'before')).rejects.toThrow(
      /encoders.identityEncoder: expected the folder of a trained encoder for the model's identityEncoder, got none/,
    );
    // a model that reads fewer than it was trained with
    await expect(train(deeper(tinyRecipe()), 'fewer', 'begun')).rejects.toThrow(
      /--from .*backbone.features.face.width: expected 38 as in the recipe, got 43/,
    );
  });
});
