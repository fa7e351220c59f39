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

interface TestFaceChoice {
  data?: string | undefined;
  faces?: number | undefined;
}

/** The first test faces of the data. @throws CommandError when there are none. */
export async function testFaces(env: Environment, options: TestFaceChoice): Promise<FaceRecord[]> {
  return (await testAndTrainingFaces(env, options)).test;
}

/** The first test faces of the data and all training faces, of which there may be none. @throws CommandError for no test face. */
export async function testAndTrainingFaces(
  env: Environment,
  options: TestFaceChoice,
): Promise<{ test: FaceRecord[]; train: FaceRecord[]; folder: string }> {
  const folder = await dataFolder(env, options.data);
  const records = await readCelebA(folder);
  const of = (split: FaceRecord['split']) => records.filter((record) => record.split === split);
  const test = of('test');
  if (test.length === 0)
    throw new CommandError('--data', 'faces of test identities', `none in ${folder}`, 'the whole data set');
  return { test: test.slice(0, options.faces), train: of('train'), folder };
}
