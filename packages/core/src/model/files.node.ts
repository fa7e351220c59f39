import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ParameterSpec, sizeOf } from '@unif2ace/graph';
import { writeFileAtomic } from '../checkpoint/atomic.node.ts';
import { writeSafetensorsFile } from '../checkpoint/safetensors.node.ts';
import { createTextTokenizer, type TokenizerJson } from '../text/bpe.ts';
import type { LoadedModel } from '../unif2ace.ts';
import { ModelConfig } from './config.ts';
import { ModelError, parseJson, readConfig, readPart, readWeights } from './folder.node.ts';
import { modelSpecs } from './specs.ts';

const files = { config: 'model.json', weights: 'model.safetensors', tokenizer: 'tokenizer.json' } as const;
const fileNames = Object.values(files);

/** Reads a model folder: model.json, model.safetensors, tokenizer.json. @throws ModelError, SafetensorsError */
export async function loadModel(folder: string): Promise<LoadedModel> {
  const config = await readConfig(folder, files.config, fileNames, ModelConfig, 'unif2ace-1');
  const bytes = await readPart(folder, files.weights, fileNames);
  const weights = readWeights(join(folder, files.weights), bytes, modelSpecs(config));
  const tokenizerPath = join(folder, files.tokenizer);
  const tokenizer = createTextTokenizer(
    parseJson(tokenizerPath, await readPart(folder, files.tokenizer, fileNames)) as TokenizerJson,
  );
  if (tokenizer.vocabSize !== config.textVocabSize)
    throw new ModelError(
      `${tokenizerPath}: expected ${config.textVocabSize} tokens, got ${tokenizer.vocabSize}; try the tokenizer of this model`,
    );
  return { config, tokenizer, weights, hash: createHash('sha256').update(bytes).digest('hex') };
}

/** Writes a model folder; every file appears whole or not at all. Weights are stored as float16. */
export async function saveModel(
  folder: string,
  config: ModelConfig,
  tokenizer: TokenizerJson,
  weightOf: (spec: ParameterSpec) => Float32Array,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors = modelSpecs(config).map((spec) => {
    const data = weightOf(spec);
    if (data.length !== sizeOf(spec.shape)) throw new ModelError(`saveModel: ${spec.name} has ${data.length} values`);
    return { name: spec.name, shape: spec.shape, dtype: 'F16' as const, data };
  });
  await writeSafetensorsFile(join(folder, files.weights), tensors, { format: 'unif2ace', model: config.name });
  await writeFileAtomic(join(folder, files.tokenizer), `${JSON.stringify(tokenizer)}\n`);
  await writeFileAtomic(join(folder, files.config), `${JSON.stringify(config, null, 2)}\n`);
}
