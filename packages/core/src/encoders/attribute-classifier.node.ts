import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../checkpoint/atomic.node.ts';
import { writeSafetensorsFile } from '../checkpoint/safetensors.node.ts';
import { folderSource } from '../model/folder.node.ts';
import {
  type AttributeClassifierConfig,
  attributeFiles,
  attributeSpecs,
  type LoadedAttributeClassifier,
  readAttributeClassifier,
} from './attribute-classifier.ts';

export type { LoadedAttributeClassifier };

/** Reads a folder with model.json and model.safetensors. @throws ModelError, SafetensorsError */
export function loadAttributeClassifier(folder: string): Promise<LoadedAttributeClassifier> {
  return readAttributeClassifier(folderSource(folder));
}

/** Writes the folder; every file appears whole or not at all. Weights are stored as float16. */
export async function saveAttributeClassifier(
  folder: string,
  config: AttributeClassifierConfig,
  weights: ReadonlyMap<string, Float32Array>,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors = attributeSpecs(config).map(({ name, shape }) => {
    const data = weights.get(name);
    if (!data) throw new Error(`saveAttributeClassifier: ${name} is missing`);
    return { name, shape, dtype: 'F16' as const, data };
  });
  await writeSafetensorsFile(join(folder, attributeFiles.weights), tensors, { format: 'unif2ace', model: config.name });
  await writeFileAtomic(join(folder, attributeFiles.config), `${JSON.stringify(config, null, 2)}\n`);
}
