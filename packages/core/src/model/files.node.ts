import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ParameterSpec, sizeOf } from '@unif2ace/graph';
import { writeFileAtomic } from '../checkpoint/atomic.node.ts';
import { writeSafetensorsFile } from '../checkpoint/safetensors.node.ts';
import type { TokenizerJson } from '../text/bpe.ts';
import type { ModelConfig } from './config.ts';
import { folderSource } from './folder.node.ts';
import { modelFiles as files, type LoadedModel, ModelError, readModel } from './source.ts';
import { modelSpecs } from './specs.ts';

/** Reads a model folder: model.json, model.safetensors, tokenizer.json. @throws ModelError, SafetensorsError */
export function loadModel(folder: string): Promise<LoadedModel> {
  return readModel(folderSource(folder));
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
