import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createTextTokenizer,
  type FrozenEncoderConfig,
  faceCnnGrid,
  type ImageTextConfig,
  imageTower,
  type TextTokenizer,
  textTower,
  unitRows,
} from '@unif2ace/core';
import { writeFileAtomic } from '@unif2ace/core/node';
import {
  add,
  buildModel,
  constant,
  crossEntropy,
  encodeModel,
  exp,
  FlatState,
  float32,
  input,
  int32,
  matmul,
  mul,
  ParamScope,
  type Philox,
  type Runtime,
  reduceMean,
  swapLast,
  type TensorValues,
} from '@unif2ace/graph';
import { type FaceRecord, loadFaces } from '../data/celeba.ts';
import { captionFace } from '../data/grammar/caption.ts';
import { type Faces, facePixels } from '../training/face-batches.ts';
import { exampleRandom } from '../training/face-order.ts';
import {
  dropCheckpoints,
  facesOf,
  type PhotoRecipe,
  type PhotoRun,
  photoRun,
  photosOfPart,
  trainOnPhotos,
} from '../training/photo-run.ts';
import type { RunOptions } from '../training/run-recipe.ts';
import { namedParameters } from '../training/stage.ts';
import { textTokenizer } from '../training/text-tokenizer.ts';
import { TrainGraph } from '../training/train-graph.ts';
import { saveSmallEncoder, smallEncoderOnnx } from './small-encoder.ts';

// B pictures with a text each, T text tokens, D shared width

/** A small image-text encoder, trained on faces and what the grammar says about them. */
export interface ImageTextRecipe extends PhotoRecipe {
  kind: 'image-text';
  name: string;
  /** Terms of the trained weights. */
  terms: string;
  textVocabSize: number;
  model: (textVocabSize: number) => ImageTextConfig;
}

/** Retrieval over the test faces: among all their captions, each one's own. Texts repeat, so that 1 cannot be reached. */
export interface ImageTextScore {
  recallAt10: number;
  /** Median rank of a face's own caption over the number of captions; 0.5 by chance. */
  medianRankShare: number;
}

const evaluationBatch = 64;

/**
 * Contrastive training of both towers: of the texts of a batch each picture is to find its own, and of the pictures each text
 * (symmetric cross-entropy with a learnt temperature). Writes the image tower as ONNX with its description, the text tower as
 * `text.onnx` with `tokenizer.json`. @throws DataError, TrainError
 */
export async function trainImageText(recipe: ImageTextRecipe, options: RunOptions): Promise<ImageTextScore> {
  return photoRun(options, (run) => trainAndScore(recipe, run));
}

async function trainAndScore(recipe: ImageTextRecipe, run: PhotoRun): Promise<ImageTextScore> {
  const { augmentation, seed, training } = recipe;
  const { runtime, onEvent } = run;
  const { train, test } = await facesOf(run.dataFolder, ['train', 'test']);
  const tokenizerJson = textTokenizer(recipe, train);
  const texts = new Texts(createTextTokenizer(tokenizerJson), recipe.model(tokenizerSize(tokenizerJson)));
  const { config } = texts;
  onEvent({ kind: 'stage', name: 'data', detail: `${train.length} faces of training identities` });
  const loadedSize = config.image.imageSize + 2 * augmentation.shiftPixels;
  const faces: Faces = { size: loadedSize, data: await loadFaces(train, loadedSize) };

  const batch = photosOfPart(recipe, run);
  const root = new ParamScope();
  const { imageSize } = config.image;
  const { image_BD } = imageTower(root, config, input('pixels', [batch, 3, imageSize, imageSize]));
  const text_BD = textTower(root, config, batch);
  // e^2.66 = 14, CLIP's start
  const scale = exp(add(root.param('temperature', [1], { kind: 'zeros' }), 2.66));
  const own = constant(
    Int32Array.from({ length: batch }, (_, i) => i),
    [batch],
  );
  const direction = (a: typeof image_BD, b: typeof image_BD) =>
    reduceMean(crossEntropy(mul(matmul(a, swapLast(b)), scale), own));
  const loss = mul(add(direction(image_BD, text_BD), direction(text_BD, image_BD)), 0.5);
  const state = new FlatState(root.specs()).initialize(seed);
  const graph = await TrainGraph.compile(loss, {}, root, state, { runtime });
  await trainOnPhotos(recipe, run, graph, {
    stage: recipe.name,
    imageSize,
    faces,
    count: train.length,
    layout: { seed, training, encoder: config.image },
    feeds: (chosen, first) =>
      texts.feeds(chosen.map((face, i) => texts.about(train[face]!, exampleRandom(seed, textStream, first + i)))),
  });

  const weights = namedParameters(state);
  const score = await retrieval(config, texts, weights, test, seed, runtime);
  if (!run.isRoot) return score;
  await mkdir(run.out, { recursive: true });
  await writeFileAtomic(join(run.out, 'tokenizer.json'), JSON.stringify(tokenizerJson));
  const text = buildModel(
    { embedding: textTower(new ParamScope(), config, 1) },
    { name: 'image-text', parameters: weights },
  );
  await writeFileAtomic(join(run.out, 'text.onnx'), encodeModel(text).bytes);
  const network = { config: config.image, weights, prefix: 'image' };
  const description = descriptionOf(recipe, config);
  const onnx = smallEncoderOnnx(description, network, ({ face_BF, patches_BPC }) => ({
    patches: patches_BPC,
    embedding: unitRows(face_BF),
  }));
  await saveSmallEncoder(run.out, description, network, onnx);
  await dropCheckpoints(run);
  onEvent({ kind: 'stage', name: 'done', detail: run.out });
  return score;
}

const textStream = 2;

function tokenizerSize(json: ReturnType<typeof textTokenizer>): number {
  return createTextTokenizer(json).vocabSize;
}

function descriptionOf({ name, terms }: ImageTextRecipe, { image }: ImageTextConfig): FrozenEncoderConfig {
  return {
    format: 'unif2ace-encoder-1',
    name,
    purpose: 'clip',
    input: { name: 'pixels', size: image.imageSize, channels: 'rgb', mean: 127.5, deviation: 127.5, crop: [0, 0, 1] },
    output: { name: 'patches', tokens: faceCnnGrid(image) ** 2, width: image.channels.at(-1)! },
    unitLength: false,
    terms,
  };
}

/** Captions as the text tower reads them: tokens, end mark, padding. */
class Texts {
  readonly config: ImageTextConfig;
  readonly #tokenizer: TextTokenizer;
  readonly #end: number;

  /** The end mark is the id behind the tokenizer's, which also pads. */
  constructor(tokenizer: TextTokenizer, config: ImageTextConfig) {
    this.#tokenizer = tokenizer;
    this.config = config;
    this.#end = tokenizer.vocabSize;
  }

  /** A caption of a face, cut to what the tower takes. */
  about({ attributes }: FaceRecord, random: Philox): number[] {
    const { text } = captionFace(attributes, random, random.uniform() < 0.5 ? 'medium' : 'long');
    return this.#tokenizer.encode(text).slice(0, this.config.textTokens - 1);
  }

  feeds(texts: readonly (readonly number[])[]): TensorValues {
    const { textTokens } = this.config;
    const ends = new Float32Array(texts.length * textTokens);
    const ids = texts.flatMap((text, b) => {
      ends[b * textTokens + text.length] = 1;
      return [...text, ...new Array<number>(textTokens - text.length).fill(this.#end)];
    });
    return { ids: int32(ids, [texts.length, textTokens]), ends: float32(ends, [texts.length, textTokens]) };
  }
}

async function retrieval(
  config: ImageTextConfig,
  texts: Texts,
  weights: ReadonlyMap<string, Float32Array>,
  test: readonly FaceRecord[],
  seed: number,
  runtime: Runtime,
): Promise<ImageTextScore> {
  const { imageSize, width } = config.image;
  const faces = { size: imageSize, data: await loadFaces(test, imageSize) };
  const pixels = input('pixels', [evaluationBatch, 3, imageSize, imageSize]);
  const { image_BD } = imageTower(new ParamScope(), config, pixels);
  const outputs = { image: image_BD, text: textTower(new ParamScope(), config, evaluationBatch) };
  const session = await runtime.createSession(buildModel(outputs, { parameters: weights }));
  const [images, captions] = [new Float32Array(test.length * width), new Float32Array(test.length * width)];
  for (let first = 0; first < test.length; first += evaluationBatch) {
    const chosen = Array.from({ length: evaluationBatch }, (_, i) => Math.min(first + i, test.length - 1));
    const asked = chosen.map((face) => texts.about(test[face]!, exampleRandom(seed, textStream, -1 - face)));
    const { image, text } = await session.run({ pixels: facePixels(faces, chosen, []), ...texts.feeds(asked) });
    const count = Math.min(evaluationBatch, test.length - first) * width;
    images.set((image!.data as Float32Array).subarray(0, count), first * width);
    captions.set((text!.data as Float32Array).subarray(0, count), first * width);
  }
  await session.release();
  const dot = (a: number, b: number) => {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += images[a * width + i]! * captions[b * width + i]!;
    return sum;
  };
  const ranks = test.map((_, a) => {
    const own = dot(a, a);
    return test.reduce((rank, __, b) => rank + Number(dot(a, b) > own), 0);
  });
  const sorted = [...ranks].sort((a, b) => a - b);
  return {
    recallAt10: ranks.filter((rank) => rank < 10).length / test.length,
    medianRankShare: sorted[Math.floor(sorted.length / 2)]! / test.length,
  };
}
