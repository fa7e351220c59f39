import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Environment } from './environment.ts';
import { CommandError } from './errors.ts';

/** Flags and help of the option that names the folder of faces. */
export const dataOption = [
  '--data <folder>',
  "faces in CelebA's layout (default: $UNIF2ACE_DATA/celeba or ../shared/data/celeba)",
] as const;

/** The folder of faces, checked before work starts. */
export async function dataFolder(env: Environment, given: string | undefined): Promise<string> {
  const shared = process.env.UNIF2ACE_DATA ?? join(env.root, '..', 'shared', 'data');
  const folder = given === undefined ? join(shared, 'celeba') : resolve(env.cwd, given);
  const found = await stat(folder).catch(() => null);
  if (!found?.isDirectory())
    throw new CommandError(
      '--data',
      "a folder in CelebA's layout",
      `nothing at ${folder}`,
      '--data FOLDER or UNIF2ACE_DATA',
    );
  return folder;
}
