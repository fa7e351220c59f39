import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type LoadedModel, UniF2ace } from '@unif2ace/core';
import { loadModel } from '@unif2ace/core/node';
import type { Environment } from './environment.ts';
import { CommandError } from './errors.ts';
import type { ModelChoice } from './options.ts';

/** Names of the bundled models. */
async function bundledModels(env: Environment): Promise<string[]> {
  const entries = await readdir(join(env.root, 'weights'), { withFileTypes: true }).catch(() => []);
  return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** Folder of a model: a bundled name first, else a path. @throws CommandError that lists the bundled ones. */
export async function resolveModel(env: Environment, name: string): Promise<string> {
  const names = await bundledModels(env);
  if (names.includes(name)) return join(env.root, 'weights', name);
  const folder = resolve(env.cwd, name);
  if (await isFolder(folder)) return folder;
  const bundled = names.join(', ') || 'none here';
  throw new CommandError(
    'model',
    `a model folder or a bundled name (${bundled})`,
    name,
    `--model ${names[0] ?? 'FOLDER'}`,
  );
}

export interface OpenModel {
  face: UniF2ace;
  loaded: LoadedModel;
  folder: string;
}

/** Loads the model, runs the work and frees everything, whatever happens. */
export async function withModel<T>(
  env: Environment,
  choice: ModelChoice,
  work: (model: OpenModel) => Promise<T>,
): Promise<T> {
  const folder = await resolveModel(env, choice.model);
  const loaded = await loadModel(folder);
  env.signal.throwIfAborted();
  const runtime = env.makeRuntime();
  const face = new UniF2ace(loaded, runtime);
  if (choice.device === 'auto' && !choice.json)
    env.stderr.write(`device: ${face.device} (ONNX Runtime), model: ${face.config.name}\n`);
  try {
    return await work({ face, loaded, folder });
  } finally {
    await Promise.allSettled([face.close()]);
    await runtime.close();
  }
}

/** The model as JSON documents name it. */
export function modelDocument({ face }: OpenModel): { name: string; hash: string } {
  return { name: face.config.name, hash: face.hash };
}
