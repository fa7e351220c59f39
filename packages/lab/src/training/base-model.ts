import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ModelConfig, modelParts, type TokenizerJson } from '@unif2ace/core';
import { loadModel } from '@unif2ace/core/node';
import { TrainError } from './events.ts';
import { firstDifference } from './first-difference.ts';

/** A trained model that a run goes on from: its backbone is trained further, all else is taken as it is. */
export interface BaseModel {
  tokenizerJson: TokenizerJson;
  /** Parameters of a part. */
  part(name: keyof typeof modelParts): ReadonlyMap<string, Float32Array>;
  /** @throws TrainError that names the first field in which the recipe's model differs. */
  check(config: ModelConfig): void;
}

/** The configuration without the name and without what pictures are drawn by: the parameters are the same with others. */
function whatParametersFit(config: ModelConfig) {
  const { name: _, guidance: __, guidedShare: ___, confidenceTemperature: ____, ...rest } = config;
  return rest;
}

/** Opens the folder of a trained model. @throws ModelError, SafetensorsError */
export async function openBaseModel(folder: string): Promise<BaseModel> {
  const { config, weights } = await loadModel(folder);
  const tokenizerJson = JSON.parse(await readFile(join(folder, 'tokenizer.json'), 'utf8')) as TokenizerJson;
  return {
    tokenizerJson,
    part: (name) => new Map([...weights].filter(([parameter]) => parameter.startsWith(`${modelParts[name]}.`))),
    check: (made) => {
      const difference = firstDifference(whatParametersFit(made), whatParametersFit(config));
      if (difference)
        throw new TrainError(
          `train: --from ${folder}: ${difference.path}: expected ${difference.expected} as in the recipe, got ${difference.got}; try the recipe that the model was made with`,
        );
    },
  };
}
