import {
  createTextTokenizer,
  type LoadedModel,
  modelSpecs,
  type PixelImage,
  pixelImage,
  type UniF2ace,
} from '@unif2ace/core';
import { initialize, Philox } from '@unif2ace/graph';
import { trainBpe } from '@unif2ace/lab';
import nano from '../recipes/src/nano.ts';

/** nano's graphs with random weights: as fast as the trained model, and here before it. */
export function randomNano(): LoadedModel {
  if (nano.kind !== 'model') throw new Error('bench: recipe nano: expected a model');
  const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i));
  const texts = letters.map(
    (a, i) => `${a}${letters[(i * 7 + 3) % 26]} ${letters[(i * 5 + 1) % 26]}${a} face with hair`,
  );
  const { json, vocabSize } = trainBpe(texts, { vocabSize: nano.textVocabSize, minPairCount: 1 });
  const config = nano.model(vocabSize);
  const weights = new Map(
    modelSpecs(config).map((spec) => {
      const data = new Float32Array(spec.shape.reduce((a, b) => a * b, 1));
      initialize(spec, data, (...stream) => new Philox(1, ...stream));
      return [spec.name, data] as const;
    }),
  );
  return { config, tokenizer: createTextTokenizer(json), weights, hash: '0'.repeat(64) };
}

export const prompt = 'a face with hair';

export function randomPhoto(model: UniF2ace): PixelImage {
  const random = new Philox(3);
  const { imageSize } = model.config;
  return pixelImage(
    imageSize,
    imageSize,
    Uint8Array.from({ length: 3 * imageSize ** 2 }, () => random.int(256)),
  );
}
