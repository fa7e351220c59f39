import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type FoundFace, findFace, type LoadedModel, type PixelImage, UniF2ace } from '@unif2ace/core';
import { loadModel, openFaceDetector } from '@unif2ace/core/node';
import type { Runtime } from '@unif2ace/graph';
import type { Command } from 'commander';
import type { Environment } from './environment.ts';
import { CommandError } from './errors.ts';
import { type ModelChoice, numberFrom } from './options.ts';

/** Names of the bundled models. */
async function bundledModels(env: Environment): Promise<string[]> {
  const names = await readdir(join(env.root, 'weights')).catch(() => []);
  // a classifier has no text tokenizer
  return names.filter((name) => existsSync(join(env.root, 'weights', name, 'tokenizer.json'))).sort();
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
  /** What the model runs on; other networks may run on it too. */
  runtime: Runtime;
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
  const { runtime, reason } = await env.openRuntime(choice.device);
  const face = new UniF2ace(loaded, runtime);
  if (choice.device === 'auto' && !choice.json)
    env.stderr.write(`device: ${face.device} (${reason}), model: ${face.config.name}\n`);
  try {
    return await work({ face, loaded, folder, runtime });
  } finally {
    await Promise.allSettled([face.close()]);
    await runtime.close();
  }
}

/** The model as JSON documents name it. */
export function modelDocument({ face }: OpenModel): { name: string; hash: string } {
  return { name: face.config.name, hash: face.hash };
}

/** Number of a face among several, for commands that look at a photo. */
export const faceOption = numberFrom(1, 1000).optional();

export function addFaceOption(command: Command): Command {
  return command.option('--face <n>', 'which face when there are several, by size; default: 1, the largest');
}

/**
 * The wanted face of a photo, found on the model's runtime. Says on stderr when it chose among several.
 * @throws FaceError when there is no such face.
 */
export async function faceOf(
  env: Environment,
  { runtime }: OpenModel,
  photo: PixelImage,
  name: string,
  options: { json: boolean; face?: number | undefined },
): Promise<FoundFace> {
  const detector = await openFaceDetector(runtime);
  try {
    const found = await findFace(detector, photo, { name, ...(options.face !== undefined && { face: options.face }) });
    if (found.of > 1 && options.face === undefined && !options.json)
      env.stderr.write(`${name}: ${found.of} faces, the largest is taken; --face 2 takes the next\n`);
    return found;
  } finally {
    await detector.close();
  }
}

/** The face as JSON documents give it: pixels of the photo to a tenth; `index` by size from 1. */
export function faceDocument({ box, landmarks, score, index, of }: FoundFace): Record<string, unknown> {
  const tenth = (value: number) => Math.round(value * 10) / 10;
  const [rightEye, leftEye, nose, rightMouth, leftMouth] = landmarks.map(({ x, y }) => ({ x: tenth(x), y: tenth(y) }));
  return {
    box: { x: tenth(box.x), y: tenth(box.y), width: tenth(box.width), height: tenth(box.height) },
    landmarks: { rightEye, leftEye, nose, rightMouth, leftMouth },
    score: Number(score.toFixed(3)),
    index,
    of,
  };
}
