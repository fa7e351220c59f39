import type { ParameterSpec } from '@unif2ace/graph';
import type { z } from 'zod';
import { decodeFloat32, readSafetensors } from '../checkpoint/safetensors.ts';
import { createTextTokenizer, type TextTokenizer, type TokenizerJson } from '../text/bpe.ts';
import { ModelConfig } from './config.ts';
import { modelSpecs } from './specs.ts';

/** Where the files of a model come from: a folder, an address, a cache of the browser. */
export interface ModelSource {
  /** Folder or address, for messages. */
  readonly name: string;
  /** Bytes of one file. @throws when there is none; a `code` such as ENOENT is told to the user. */
  read(file: string): Promise<Uint8Array>;
}

/** A model in memory. */
export interface LoadedModel {
  config: ModelConfig;
  tokenizer: TextTokenizer;
  weights: ReadonlyMap<string, Float32Array>;
  /** SHA-256 of the weights file, hex. */
  hash: string;
}

/** A model that cannot be used: one line. */
export class ModelError extends Error {
  override name = 'ModelError';
}

export const modelFiles = {
  config: 'model.json',
  weights: 'model.safetensors',
  tokenizer: 'tokenizer.json',
} as const;

/** Reads model.json alone. @throws ModelError */
export function readModelConfig(source: ModelSource): Promise<ModelConfig> {
  return readConfig(source, modelFiles.config, Object.values(modelFiles), ModelConfig, 'unif2ace-1');
}

/** Reads model.json, model.safetensors, tokenizer.json. @throws ModelError, SafetensorsError */
export async function readModel(source: ModelSource): Promise<LoadedModel> {
  const names = Object.values(modelFiles);
  const config = await readModelConfig(source);
  const bytes = await readPart(source, modelFiles.weights, names);
  const weights = readWeights(placeOf(source, modelFiles.weights), bytes, modelSpecs(config));
  const place = placeOf(source, modelFiles.tokenizer);
  const tokenizer = createTextTokenizer(
    parseJson(place, await readPart(source, modelFiles.tokenizer, names)) as TokenizerJson,
  );
  if (tokenizer.vocabSize !== config.textVocabSize)
    throw new ModelError(
      `${place}: expected ${config.textVocabSize} tokens, got ${tokenizer.vocabSize}; try the tokenizer of this model`,
    );
  return { config, tokenizer, weights, hash: await sha256(bytes) };
}

function placeOf(source: ModelSource, file: string): string {
  return `${source.name.replace(/\/$/, '')}/${file}`;
}

/** SHA-256, hex. @throws ModelError on a web page that is not served over https or from this machine. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  if (!globalThis.crypto?.subtle)
    throw new ModelError('model: expected a secure page (https or localhost), which alone may check files; try https');
  const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Bytes of one file of a model; `files` are all that it should have. @throws ModelError */
export async function readPart(source: ModelSource, file: string, files: readonly string[]): Promise<Uint8Array> {
  return source.read(file).catch((error: Error & { code?: string }) => {
    throw new ModelError(
      `model ${source.name}: expected the file ${file}, got ${error.code ?? error.message}; try a folder with ${files.join(', ')}`,
    );
  });
}

function parseJson(place: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new ModelError(`${place}: expected JSON, got ${(error as Error).message}; try to copy the model again`);
  }
}

/** A configuration checked by its schema. @throws ModelError that names the first wrong field. */
export async function readConfig<T>(
  source: ModelSource,
  file: string,
  files: readonly string[],
  schema: z.ZodType<T>,
  format: string,
): Promise<T> {
  const place = placeOf(source, file);
  const parsed = schema.safeParse(parseJson(place, await readPart(source, file, files)));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const got = `${issue.path.join('.') || 'document'}: ${issue.message}`;
  throw new ModelError(
    `${place}: expected a configuration of format ${format}, got ${got}; try the file that training wrote`,
  );
}

/** Every parameter of the specs from a safetensors file's bytes. @throws ModelError, SafetensorsError */
export function readWeights(
  place: string,
  bytes: Uint8Array,
  specs: readonly ParameterSpec[],
): Map<string, Float32Array> {
  const { tensors } = readSafetensors(bytes);
  const weights = new Map<string, Float32Array>();
  for (const { name, shape } of specs) {
    const tensor = tensors.get(name);
    const want = `[${shape.join(', ')}]`;
    if (!tensor)
      throw new ModelError(
        `${place}: expected the tensor ${name} ${want}, got none; try the weights of this model.json`,
      );
    if (tensor.shape.join() !== shape.join() || !/^(F|BF)/.test(tensor.dtype))
      throw new ModelError(
        `${place}: ${name}: expected floats ${want}, got ${tensor.dtype}[${tensor.shape.join(', ')}]; try the weights of this model.json`,
      );
    weights.set(name, decodeFloat32(tensor));
  }
  return weights;
}
