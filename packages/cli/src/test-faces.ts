import { type FaceRecord, readCelebA } from '@unif2ace/lab';
import type { Command } from 'commander';
import { dataFolder, dataOption } from './data-folder.ts';
import type { Environment } from './environment.ts';
import { CommandError } from './errors.ts';
import { numberFrom, pathOption } from './options.ts';

/** Options of commands that measure on test faces. */
export const testFaceOptions = { data: pathOption.optional(), faces: numberFrom(1, 1_000_000).optional() };

export function addTestFaceOptions(command: Command): Command {
  return command.option(...dataOption).option('--faces <n>', 'at most so many test faces (default: all)');
}

/** The first test faces of the data. @throws CommandError when there are none. */
export async function testFaces(
  env: Environment,
  options: { data?: string | undefined; faces?: number | undefined },
): Promise<FaceRecord[]> {
  const folder = await dataFolder(env, options.data);
  const test = (await readCelebA(folder)).filter(({ split }) => split === 'test');
  if (test.length === 0)
    throw new CommandError('--data', 'faces of test identities', `none in ${folder}`, 'the whole data set');
  return test.slice(0, options.faces);
}
