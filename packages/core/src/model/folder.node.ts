import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ParameterSpec } from '@unif2ace/graph';
import type { z } from 'zod';
import { decodeFloat32, readSafetensors } from '../checkpoint/safetensors.ts';

/** A model folder that cannot be used: one line. */
export class ModelError extends Error {
  override name = 'ModelError';
}

/** Bytes of one file of a model folder; `files` are all that it should hold. @throws ModelError */
export async function readPart(folder: string, file: string, files: readonly string[]): Promise<Uint8Array> {
  return readFile(join(folder, file)).catch((error: NodeJS.ErrnoException) => {
    throw new ModelError(
      `model ${folder}: expected the file ${file}, got ${error.code}; try a folder with ${files.join(', ')}`,
    );
  });
}

export function parseJson(path: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new ModelError(`${path}: expected JSON, got ${(error as Error).message}; try to copy the model again`);
  }
}

/** A configuration checked by its schema. @throws ModelError that names the first wrong field. */
export async function readConfig<T>(
  folder: string,
  file: string,
  files: readonly string[],
  schema: z.ZodType<T>,
  format: string,
): Promise<T> {
  const path = join(folder, file);
  const parsed = schema.safeParse(parseJson(path, await readPart(folder, file, files)));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const got = `${issue.path.join('.') || 'document'}: ${issue.message}`;
  throw new ModelError(
    `${path}: expected a configuration of format ${format}, got ${got}; try the file that training wrote`,
  );
}

/** Every parameter of the specs from a safetensors file's bytes. @throws ModelError, SafetensorsError */
export function readWeights(
  path: string,
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
        `${path}: expected the tensor ${name} ${want}, got none; try the weights of this model.json`,
      );
    if (tensor.shape.join() !== shape.join() || !/^(F|BF)/.test(tensor.dtype))
      throw new ModelError(
        `${path}: ${name}: expected floats ${want}, got ${tensor.dtype}[${tensor.shape.join(', ')}]; try the weights of this model.json`,
      );
    weights.set(name, decodeFloat32(tensor));
  }
  return weights;
}
