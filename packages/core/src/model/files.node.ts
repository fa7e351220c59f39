import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ParameterSpec, sizeOf } from '@unif2ace/graph';
import { writeFileAtomic } from '../checkpoint/atomic.node.ts';
import { writeSafetensorsFile } from '../checkpoint/safetensors.node.ts';
import { decodeFloat32, readSafetensors } from '../checkpoint/safetensors.ts';
import { createTextTokenizer, type TokenizerJson } from '../text/bpe.ts';
import type { LoadedModel } from '../unif2ace.ts';
import { ModelConfig } from './config.ts';
import { modelSpecs } from './specs.ts';

const files = { config: 'model.json', weights: 'model.safetensors', tokenizer: 'tokenizer.json' } as const;

/** A model folder that cannot be used: one line. */
export class ModelError extends Error {
  override name = 'ModelError';
}

async function readPart(folder: string, file: string): Promise<Uint8Array> {
  const path = join(folder, file);
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new ModelError(
      `model ${folder}: expected the file ${file}, got ${error.code}; try a folder with ${Object.values(files).join(', ')}`,
    );
  });
}

function parseJson(path: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new ModelError(`${path}: expected JSON, got ${(error as Error).message}; try to copy the model again`);
  }
}

/** Reads a model folder: model.json, model.safetensors, tokenizer.json. @throws ModelError, SafetensorsError */
export async function loadModel(folder: string): Promise<LoadedModel> {
  const path = join(folder, files.config);
  const parsed = ModelConfig.safeParse(parseJson(path, await readPart(folder, files.config)));
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const got = `${issue.path.join('.') || 'document'}: ${issue.message}`;
    throw new ModelError(
      `${path}: expected a configuration of format unif2ace-1, got ${got}; try the file that training wrote`,
    );
  }
  const config = parsed.data;
  const bytes = await readPart(folder, files.weights);
  const tensors = readSafetensors(bytes).tensors;
  const weights = new Map<string, Float32Array>();
  for (const { name, shape } of modelSpecs(config)) {
    const tensor = tensors.get(name);
    const want = `[${shape.join(', ')}]`;
    if (!tensor)
      throw new ModelError(
        `${join(folder, files.weights)}: expected the tensor ${name} ${want}, got none; try the weights of this model.json`,
      );
    if (tensor.shape.join() !== shape.join() || !/^(F|BF)/.test(tensor.dtype))
      throw new ModelError(
        `${join(folder, files.weights)}: ${name}: expected floats ${want}, got ${tensor.dtype}[${tensor.shape.join(', ')}]; try the weights of this model.json`,
      );
    weights.set(name, decodeFloat32(tensor));
  }
  const tokenizerPath = join(folder, files.tokenizer);
  const tokenizer = createTextTokenizer(
    parseJson(tokenizerPath, await readPart(folder, files.tokenizer)) as TokenizerJson,
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
