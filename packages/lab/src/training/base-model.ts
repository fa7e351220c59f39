import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  featureSizes,
  type ModelConfig,
  type ModelPart,
  modelParts,
  modelSpecs,
  moreEncoders,
  type TokenizerJson,
} from '@unif2ace/core';
import { loadModel } from '@unif2ace/core/node';
import { FlatState, type ParameterSpec, sizeOf } from '@unif2ace/graph';
import { TrainError } from './events.ts';
import { firstDifference } from './first-difference.ts';
import { namedParameters } from './stage.ts';

/**
 * A trained model that a run goes on from: its backbone and its decoder are trained further, all else is taken as it is. A recipe's model
 * may be larger in two ways and begins as if it were not. What reads encoders that the trained one has not starts at zero; further
 * residual blocks of the decoder start as identities.
 */
export interface BaseModel {
  tokenizerJson: TokenizerJson;
  /** Parameters of a part for the recipe's model; undefined for an encoder that the trained model has not. */
  part(name: ModelPart, made: ModelConfig): ReadonlyMap<string, Float32Array> | undefined;
  /** @throws TrainError that names the first field in which the recipe's model differs. */
  check(config: ModelConfig): void;
}

/** The configuration without the name and without what pictures are drawn by: the parameters are the same with others. */
function whatParametersFit(config: ModelConfig) {
  const { name: _, guidance: __, guidedShare: ___, confidenceTemperature: ____, ...rest } = config;
  return rest;
}

/** The trained model's configuration with the encoders and the blocks of the decoder that the recipe's adds to it. */
function grownTo(config: ModelConfig, made: ModelConfig): ModelConfig {
  const { decoder } = config.tokenizer;
  const more = made.tokenizer.decoder.resBlocks;
  const resBlocks = decoder.resBlocks.map((blocks, level) => Math.max(blocks, more[level] ?? 0));
  const grown = { ...config, tokenizer: { ...config.tokenizer, decoder: { ...decoder, resBlocks } } };
  for (const part of moreEncoders) if (made[part]) grown[part] ??= made[part];
  const features = { ...config.backbone.features, ...featureSizes(grown) };
  return { ...grown, backbone: { ...config.backbone, features } };
}

/** Rows of a matrix made longer by zeros. */
function widened(data: Float32Array, rows: number, columns: number): Float32Array {
  const before = data.length / rows;
  const wide = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) wide.set(data.subarray(row * before, (row + 1) * before), row * columns);
  return wide;
}

/** Parameters of blocks whose last convolution is zero, so that they add nothing. */
function identityBlocks(specs: readonly ParameterSpec[]): Map<string, Float32Array> {
  const blocks = namedParameters(new FlatState(specs).initialize(0));
  for (const [name, values] of blocks) if (/[.]conv2[.](weight|bias)$/.test(name)) values.fill(0);
  return blocks;
}

/** Opens the folder of a trained model. @throws ModelError, SafetensorsError */
export async function openBaseModel(folder: string): Promise<BaseModel> {
  const { config, weights } = await loadModel(folder);
  const tokenizerJson = JSON.parse(await readFile(join(folder, 'tokenizer.json'), 'utf8')) as TokenizerJson;
  return {
    tokenizerJson,
    part: (name, made) => {
      const prefix = `${modelParts[name]}.`;
      const found = new Map([...weights].filter(([parameter]) => parameter.startsWith(prefix)));
      if (found.size === 0) return undefined;
      const specs = modelSpecs(made).filter((spec) => spec.name.startsWith(prefix));
      for (const { name: parameter, shape } of specs) {
        const data = found.get(parameter);
        if (data && data.length < sizeOf(shape)) found.set(parameter, widened(data, shape[0]!, shape[1]!));
      }
      const missing = specs.filter((spec) => !found.has(spec.name));
      return new Map([...found, ...identityBlocks(missing)]);
    },
    check: (made) => {
      const difference = firstDifference(whatParametersFit(made), whatParametersFit(grownTo(config, made)));
      if (difference)
        throw new TrainError(
          `train: --from ${folder}: ${difference.path}: expected ${difference.expected} as in the recipe, got ${difference.got}; try the recipe that the model was made with`,
        );
    },
  };
}
