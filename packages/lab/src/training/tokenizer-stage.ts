import {
  codeEntries,
  faceCnn,
  imageCodes,
  lookupFreeQuantize,
  type ModelConfig,
  magvitDecoder,
  magvitEncoder,
  modelScopes,
  type QuantizerLosses,
  quantizerLosses,
} from '@unif2ace/core';
import {
  add,
  addN,
  div,
  FlatState,
  float32,
  input,
  mul,
  ParamScope,
  type Runtime,
  reduceMean,
  reduceSum,
  sqrt,
  square,
  sub,
  type Tensor,
  type TensorValue,
} from '@unif2ace/graph';
import type { EncodedFaces } from './encode-faces.ts';
import { TrainError } from './events.ts';
import { type Faces, facePixels } from './face-batches.ts';
import { ImageOrder } from './face-order.ts';
import { trainLoop } from './loop.ts';
import { type AdversarySettings, PatchAdversary } from './patch-adversary.ts';
import type { DecoderStage, TokenizerStage } from './recipe.ts';
import { loopContext, namedParameters, partOf, type StageContext } from './stage.ts';
import { TrainGraph } from './train-graph.ts';

/** What the stages of the tokenizer learn from. */
export interface TokenizerData {
  faces: Faces;
  count: number;
  /** Parameters of the trained face encoder. */
  encoder: ReadonlyMap<string, Float32Array>;
}

/**
 * Trains the image tokenizer: squared error, commitment, entropy and decorrelation of bits through the straight-through
 * estimator; by choice the distance of a frozen encoder's features and a discriminator of patches.
 */
export function trainTokenizer(
  context: StageContext,
  config: ModelConfig,
  data: TokenizerData,
  runtime: Runtime,
): Promise<Map<string, Float32Array>> {
  return trainImages(context, { name: 'tokenizer', settings: context.recipe.tokenizer }, config, data, runtime);
}

/**
 * Trains the decoder of a tokenizer further: no code changes.
 * @param data with the codes of every face and its mirror image, as `encodeFaces` has them.
 * @returns all parameters of the tokenizer.
 */
export async function trainDecoder(
  context: StageContext,
  { blend = 1, name, ...settings }: DecoderStage,
  before: ReadonlyMap<string, Float32Array>,
  config: ModelConfig,
  { codes, ...data }: TokenizerData & Pick<EncodedFaces, 'codes'>,
  runtime: Runtime,
): Promise<Map<string, Float32Array>> {
  const trained = await trainImages(context, { name, settings, decoder: { before, codes } }, config, data, runtime);
  if (blend === 1) return trained;
  return new Map(
    [...trained].map(([name, values]) => [
      name,
      values.map((value, i) => (1 - blend) * before.get(name)![i]! + blend * value),
    ]),
  );
}

interface ImageRun {
  name: string;
  settings: TokenizerStage;
  /** For the decoder alone: parameters to go on from, and what it reads. */
  decoder?: { before: ReadonlyMap<string, Float32Array>; codes: readonly Int32Array[] };
}

async function trainImages(
  context: StageContext,
  { name, settings, decoder }: ImageRun,
  config: ModelConfig,
  { faces, count, encoder }: TokenizerData,
  runtime: Runtime,
): Promise<Map<string, Float32Array>> {
  const { seed } = context.recipe;
  const { perceptualWeight = 0 } = settings;
  const batch = partOf(settings.batch, settings, context.collective.size, `${name}.batch`);
  const shape = [batch, 3, faces.size, faces.size] as const;
  const root = new ParamScope();
  const scopes = modelScopes(root);
  const pixels = input('pixels', shape);
  const { codes_BCHW, quantizer } = decoder
    ? { codes_BCHW: codeEntries(config, input('codes', [batch, imageCodes(config)], 'int32')), quantizer: {} }
    : encoded(scopes.tokenizer.at('encoder'), config, pixels);
  const { pixels_BCHW } = magvitDecoder(scopes.tokenizer.at('decoder'), config.tokenizer, codes_BCHW);
  const mse = reduceMean(square(sub(pixels_BCHW, pixels)));
  const state = new FlatState(root.specs()).initialize(seed);
  if (decoder) for (const { name } of state.specs) state.param(name).set(decoder.before.get(name)!);

  const terms: Tensor[] = [mse, ...Object.values(quantizer)];
  const metrics: Record<string, Tensor> = { mse, ...quantizer };
  const frozen = new Map<string, Float32Array>();
  if (perceptualWeight > 0) {
    if (config.faceEncoder.imageSize !== config.imageSize)
      throw new TrainError(
        `train: ${name}.perceptualWeight: expected a face encoder for ${config.imageSize} pixels, got ${config.faceEncoder.imageSize}; try 0, or the same imageSize`,
      );
    const seen = (image: Tensor) => faceCnn(scopes.faceEncoder, config.faceEncoder, image).levels;
    metrics.perceptual = featureDistance(seen(pixels), seen(pixels_BCHW));
    terms.push(mul(metrics.perceptual, perceptualWeight));
    for (const [parameter, data] of encoder) frozen.set(parameter, data);
  }
  const adversary = settings.adversary && adversaryOf(settings.adversary, shape, context, name, settings);
  if (adversary) {
    const { loss, frozen: judge } = adversary.term(root, pixels_BCHW);
    metrics.adversarial = loss;
    metrics.reconstruction = pixels_BCHW;
    terms.push(reduceSum(mul(loss, input('adversaryWeight', [1]))));
    for (const [parameter, data] of judge) frozen.set(parameter, data);
    await adversary.compile(runtime);
  }
  const graph = await TrainGraph.compile(addN(terms), metrics, root, state, { runtime, frozen });
  const order = new ImageOrder(count, seed, decoder ? streams.decoder : streams.tokenizer);
  await trainLoop({
    ...loopContext(context, name, graph, settings),
    tokensPerStep: settings.batch * (codes_BCHW.dim(2) * codes_BCHW.dim(3)),
    metrics: ({ mse: error, loss: _, reconstruction: __, ...rest }) => ({
      // pixels span 2, so the peak is 4 in mean squared error
      psnrDb: 10 * Math.log10(4 / error![0]!),
      ...Object.fromEntries(Object.entries(rest).map(([figure, values]) => [figure, values[0]!])),
    }),
    batch: (place) => {
      const { faces: chosen, flipped } = order.batch(place, batch);
      return {
        pixels: facePixels(faces, chosen, flipped),
        ...(decoder && { codes: codesOf(decoder.codes, chosen, flipped) }),
        ...(adversary && { adversaryWeight: float32(Float32Array.of(adversary.weightAt(place.step)), [1]) }),
      };
    },
    ...(adversary && {
      companion: adversary,
      afterStep: (step, feeds, outputs) => adversary.learn(step, feeds.pixels!, outputs.reconstruction!),
    }),
  });
  await graph.release();
  await adversary?.release();
  return new Map([...(decoder?.before ?? []), ...namedParameters(state)]);
}

/** What the encoder makes of pictures, with the quantiser's losses. */
function encoded(
  scope: ParamScope,
  config: ModelConfig,
  pixels: Tensor,
): { codes_BCHW: Tensor; quantizer: QuantizerLosses } {
  const { z_BCHW } = magvitEncoder(scope, config.tokenizer, pixels);
  const { codes_BCHW } = lookupFreeQuantize(z_BCHW);
  return { codes_BCHW, quantizer: quantizerLosses(config.tokenizer, z_BCHW, codes_BCHW) };
}

/** Codes [B, N] of faces or their mirror images, from a list with both for each face in turn. */
function codesOf(codes: readonly Int32Array[], faces: readonly number[], flipped: readonly boolean[]): TensorValue {
  const rows = faces.map((face, b) => codes[2 * face + Number(flipped[b])]!);
  return {
    dtype: 'int32',
    shape: [rows.length, rows[0]!.length],
    data: Int32Array.from(rows.flatMap((row) => [...row])),
  };
}

/** Of the order of faces. */
const streams = { tokenizer: 2, decoder: 6 } as const;

function adversaryOf(
  settings: AdversarySettings,
  shape: readonly [number, number, number, number],
  { collective, recipe: { seed } }: StageContext,
  stage: string,
  { accumulation = 1, warmupSteps }: TokenizerStage,
): PatchAdversary {
  if (accumulation > 1)
    throw new TrainError(
      `train: ${stage}.accumulation: expected 1 beside an adversary, got ${accumulation}; try a smaller batch`,
    );
  return new PatchAdversary(settings, shape, { seed, warmupSteps, collective });
}

/** Mean over levels of the squared distance between features of unit length at each place. */
function featureDistance(real: readonly Tensor[], made: readonly Tensor[]): Tensor {
  const distances = real.map((x, level) =>
    reduceMean(reduceSum(square(sub(unitFeatures(x), unitFeatures(made[level]!))), 1)),
  );
  return mul(addN(distances), 1 / distances.length);
}

function unitFeatures(x_BCHW: Tensor): Tensor {
  return div(x_BCHW, add(sqrt(add(reduceSum(square(x_BCHW), 1, true), 1e-10)), 1e-5));
}
