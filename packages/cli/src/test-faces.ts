import { type FaceRecord, readCelebA } from '@unif2ace/lab';
import type { Command } from 'commander';
import { z } from 'zod';
import { dataFolder, dataOption } from './data-folder.ts';
import type { Environment } from './environment.ts';
import { CommandError } from './errors.ts';
import { numberFrom, pathOption } from './options.ts';

export const splitOption = z.enum(['test', 'validation'], { error: 'test or validation' });
/** Flag, help and default. */
export const splitFlag = [
  '--split <split>',
  'identities to measure on: test, or validation to choose settings by',
  'test',
] as const;

/** Options of commands that measure on faces that no model was trained on. */
export const testFaceOptions = {
  data: pathOption.optional(),
  faces: numberFrom(1, 1_000_000).optional(),
  split: splitOption,
};

export function addTestFaceOptions(command: Command): Command {
  return command
    .option(...dataOption)
    .option('--faces <n>', 'at most so many faces (default: all)')
    .option(...splitFlag);
}

interface TestFaceChoice {
  data?: string | undefined;
  faces?: number | undefined;
  split: z.infer<typeof splitOption>;
}

/** The first faces of the split. @throws CommandError when there are none. */
export async function testFaces(env: Environment, options: TestFaceChoice): Promise<FaceRecord[]> {
  return (await testAndTrainingFaces(env, options)).test;
}

/** The first faces of the split and all training faces, of which there may be none. @throws CommandError for no face of the split. */
export async function testAndTrainingFaces(
  env: Environment,
  options: TestFaceChoice,
): Promise<{ test: FaceRecord[]; train: FaceRecord[]; folder: string }> {
  const folder = await dataFolder(env, options.data);
  const records = await readCelebA(folder);
  const of = (split: FaceRecord['split']) => records.filter((record) => record.split === split);
  const test = of(options.split);
  if (test.length === 0)
    throw new CommandError('--data', `faces of ${options.split} identities`, `none in ${folder}`, 'the whole data set');
  return { test: test.slice(0, options.faces), train: of('train'), folder };
}
