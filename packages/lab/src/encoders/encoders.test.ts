import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePng, type FrozenEncoderConfig, faceCnn, PhiConfig, pixelImage } from '@unif2ace/core';
import { loadFrozenEncoder } from '@unif2ace/core/node';
import { buildModel, encodeModel, FlatState, input, ParamScope, Philox } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyCelebA } from '../data/build/test/tiny-celeba.ts';
import { readCelebA } from '../data/celeba.ts';
import type { TrainEvent } from '../training/events.ts';
import { namedParameters } from '../training/stage.ts';
import { type IdentityRecipe, trainIdentity } from './train-identity.ts';
import { type ImageTextRecipe, trainImageText } from './train-image-text.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'encoders-'));
  await writeTinyCelebA(join(root, 'celeba'), 60, 1, (i) => i % 12);
  await writeTinyCelebA(join(root, 'coloured'), 60, 2, (i) => i % 12);
  // what the texts say must be seen in the pictures
  for (const { path, attributes } of await readCelebA(join(root, 'coloured'))) {
    const { Male, Eyeglasses, Wearing_Hat } = attributes;
    const colour = [Male, Eyeglasses, Wearing_Hat].map((has) => (has ? 230 : 20));
    const image = pixelImage(
      89,
      109,
      Uint8Array.from({ length: 3 * 89 * 109 }, (_, i) => colour[i % 3]!),
    );
    await writeFile(path, await sharp(encodePng(image)).jpeg().toBuffer());
  }
});
afterAll(() => rm(root, { recursive: true, force: true }));

const encoder = { imageSize: 16, channels: [8, 16], groups: 4, width: 16, patchPool: 2 };
const shared = {
  seed: 1,
  training: {
    steps: 250,
    batch: 16,
    learningRate: 1e-2,
    warmupSteps: 5,
    weightDecay: 0,
    clipNorm: 1,
    emaDecay: 0.9,
  },
  augmentation: { shiftPixels: 1, contrast: 0.1, brightness: 0.1, cutout: 0 },
  terms: 'none',
};
const teacherConfig: FrozenEncoderConfig = {
  format: 'unif2ace-encoder-1',
  name: 'teacher',
  purpose: 'face',
  input: { name: 'data', size: 8, channels: 'bgr', mean: 127, deviation: 128, crop: [0.25, 0.25, 0.5] },
  output: { name: 'out', tokens: 1, width: 12 },
  unitLength: true,
  terms: 'none',
};

/** A random network of another form, as an ONNX file. */
async function writeTeacher(): Promise<string> {
  const scope = new ParamScope();
  const { face_BF } = faceCnn(
    scope,
    { ...encoder, imageSize: 8, width: 12, patchPool: 1 },
    input('data', [1, 3, 8, 8]),
  );
  const weights = namedParameters(new FlatState(scope.specs()).initialize(5));
  const file = join(root, 'teacher.onnx');
  await writeFile(file, encodeModel(buildModel({ out: face_BF }, { parameters: weights })).bytes);
  return file;
}

const events: TrainEvent[] = [];
const options = (out: string, data = 'celeba') => ({
  out: join(root, out),
  dataFolder: join(root, data),
  onEvent: (event: TrainEvent) => events.push(event),
});
const losses = (stage: string) =>
  events.flatMap((event) => (event.kind === 'progress' && event.stage === stage ? [event.loss] : []));

describe('frozen encoders', () => {
  test('identity: comes near its teacher; the file gives unit embeddings for any photo', async () => {
    const file = await writeTeacher();
    const recipe: IdentityRecipe = {
      ...shared,
      kind: 'identity',
      name: 'identity',
      encoder,
      teacher: { config: teacherConfig, file: () => file },
    };
    const score = await trainIdentity(recipe, options('identity'));
    const curve = losses('identity');
    expect(curve.at(-1)).toBeLessThan(0.7 * curve[0]!);
    expect(score.teacherVerificationArea).toBeGreaterThan(0);
    expect(score.verificationArea).toBeLessThanOrEqual(1);
    const runtime = directRuntime();
    const loaded = await loadFrozenEncoder(join(root, 'identity'), runtime);
    const random = new Philox(2);
    const photo = pixelImage(
      30,
      40,
      Uint8Array.from({ length: 3600 }, () => random.int(256)),
    );
    const { data, shape } = await loaded.encode([photo, pixelImage(89, 109)]);
    expect(shape).toEqual([2, 1, 16]);
    expect(Math.hypot(...(data as Float32Array).subarray(0, 16))).toBeCloseTo(1, 5);
    // of several faces each is what it is alone
    expect((await loaded.encode([photo])).data).toEqual((data as Float32Array).slice(0, 16));
    await loaded.release();
  });

  test('image-text: a text finds its picture better than by chance after training; towers are written as ONNX', async () => {
    const recipe: ImageTextRecipe = {
      ...shared,
      kind: 'image-text',
      name: 'image-text',
      textVocabSize: 300,
      model: (textVocabSize) => ({
        image: encoder,
        text: PhiConfig.parse({
          vocabSize: textVocabSize + 1,
          hiddenSize: 16,
          intermediateSize: 32,
          layers: 1,
          heads: 2,
          maxPositions: 96,
        }),
        textTokens: 96,
      }),
    };
    await trainImageText(recipe, options('image-text', 'coloured'));
    const curve = losses('image-text');
    // log 16 by chance
    expect(curve.at(-1)).toBeLessThan(0.85 * Math.log(16));
    const runtime = directRuntime();
    const loaded = await loadFrozenEncoder(join(root, 'image-text'), runtime);
    expect((await loaded.encode([pixelImage(89, 109)])).shape).toEqual([1, 4, 16]);
    await loaded.release();
    const text = await runtime.loadSession(await readFile(join(root, 'image-text', 'text.onnx')));
    expect(text.outputNames).toEqual(['embedding']);
    await text.release();
  });

  test('a file whose names are others than described is refused', async () => {
    const file = await writeTeacher();
    await writeFile(join(root, 'encoder.onnx'), await readFile(file));
    await writeFile(
      join(root, 'encoder.json'),
      JSON.stringify({ ...teacherConfig, output: { ...teacherConfig.output, name: 'features' } }),
    );
    await expect(loadFrozenEncoder(root, directRuntime())).rejects.toThrow(
      'encoder teacher: expected an output features, got out',
    );
    await writeFile(join(root, 'encoder.json'), JSON.stringify({ ...teacherConfig, purpose: 'age' }));
    await expect(loadFrozenEncoder(root, directRuntime())).rejects.toThrow(/encoder.json: expected .* purpose/);
  });
});
