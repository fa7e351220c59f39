import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { addModelOptions, modelOptions, parseOptions } from '../options.ts';
import { answer } from './ask.ts';

export function addDescribe(program: Command, env: Environment): void {
  const command = program.command('describe').description('describe a face').argument('<image>', 'a photo of one face');
  addModelOptions(command).action((image: string, raw: Record<string, unknown>) =>
    answer(env, image, null, parseOptions('describe', z.object(modelOptions), raw)),
  );
}
