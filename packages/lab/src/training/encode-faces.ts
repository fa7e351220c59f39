import { featureModel, imageCodes, type ModelConfig, tokenizeModel } from '@unif2ace/core';
import type { Runtime } from '@unif2ace/graph';
import { type Collective, type ExchangedArray, single } from './collective/collective.ts';
import { type Faces, facePixels } from './face-batches.ts';

/** What the frozen parts make of every face; entry 2·face is the face as it is, 2·face + 1 its mirror image. */
export interface EncodedFaces {
  codes: Int32Array[];
  face: Float32Array[];
  clip: Float32Array[];
}

const batch = 64;

/** Runs tokenizer and face encoder once over all faces and their mirror images. Ranks take batches in turn; each ends with all. */
export async function encodeFaces(
  config: ModelConfig,
  weights: ReadonlyMap<string, Float32Array>,
  images: { forTokenizer: Faces; forEncoder: Faces },
  count: number,
  runtime: Runtime,
  collective: Collective = single,
): Promise<EncodedFaces> {
  const tokenize = await runtime.createSession(tokenizeModel(config, weights, batch));
  const features = await runtime.createSession(featureModel(config, weights, batch));
  const encoded: EncodedFaces = { codes: [], face: [], clip: [] };
  const tokens = imageCodes(config);
  const { face, clip } = config.backbone.features;
  const round = batch * collective.size;
  for (let first = 0; first < 2 * count; first += round) {
    const own = first + batch * collective.rank;
    // the last batches are filled up with the first face of their round
    const entries = Array.from({ length: batch }, (_, i) => (own + i < 2 * count ? own + i : first));
    const chosen = entries.map((entry) => entry >> 1);
    const flipped = entries.map((entry) => entry % 2 === 1);
    const { codes } = await tokenize.run({ pixels: facePixels(images.forTokenizer, chosen, flipped) });
    const found = await features.run({ pixels: facePixels(images.forEncoder, chosen, flipped) });
    const rows = (data: unknown, row: number) => {
      const all = collective.allGather(data as ExchangedArray) as Float32Array;
      return Array.from({ length: Math.min(round, 2 * count - first) }, (_, i) => all.slice(i * row, (i + 1) * row));
    };
    encoded.codes.push(...(rows(codes!.data, tokens) as unknown as Int32Array[]));
    encoded.face.push(...rows(found.face!.data, face.tokens * face.width));
    encoded.clip.push(...rows(found.clip!.data, clip.tokens * clip.width));
  }
  await tokenize.release();
  await features.release();
  return encoded;
}
