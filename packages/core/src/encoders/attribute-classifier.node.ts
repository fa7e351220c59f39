import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { input, ParamScope } from '@unif2ace/graph';
import { writeFileAtomic } from '../checkpoint/atomic.node.ts';
import { writeSafetensorsFile } from '../checkpoint/safetensors.node.ts';
import { folderSource } from '../model/folder.node.ts';
import { readConfig, readPart, readWeights, sha256 } from '../model/source.ts';
import { AttributeClassifierConfig, attributeLogits } from './attribute-classifier.ts';

const files = { config: 'model.json', weights: 'model.safetensors' } as const;

function specsOf(config: AttributeClassifierConfig) {
  const root = new ParamScope();
  const { imageSize } = config.encoder;
  attributeLogits(root, config, input('pixels', [1, 3, imageSize, imageSize]));
  return root.specs();
}

export interface LoadedAttributeClassifier {
  config: AttributeClassifierConfig;
  weights: ReadonlyMap<string, Float32Array>;
  /** SHA-256 of the weights file, hex. */
  hash: string;
}

/** Reads a folder with model.json and model.safetensors. @throws ModelError, SafetensorsError */
export async function loadAttributeClassifier(folder: string): Promise<LoadedAttributeClassifier> {
  const names = Object.values(files);
  const source = folderSource(folder);
  const config = await readConfig(source, files.config, names, AttributeClassifierConfig, 'unif2ace-attributes-1');
  const bytes = await readPart(source, files.weights, names);
  const weights = readWeights(join(folder, files.weights), bytes, specsOf(config));
  return { config, weights, hash: await sha256(bytes) };
}

/** Writes the folder; every file appears whole or not at all. Weights are stored as float16. */
export async function saveAttributeClassifier(
  folder: string,
  config: AttributeClassifierConfig,
  weights: ReadonlyMap<string, Float32Array>,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors = specsOf(config).map(({ name, shape }) => {
    const data = weights.get(name);
    if (!data) throw new Error(`saveAttributeClassifier: ${name} is missing`);
    return { name, shape, dtype: 'F16' as const, data };
  });
  await writeSafetensorsFile(join(folder, files.weights), tensors, { format: 'unif2ace', model: config.name });
  await writeFileAtomic(join(folder, files.config), `${JSON.stringify(config, null, 2)}\n`);
}
