import type { Command } from 'commander';
import type { Environment } from '../environment.ts';
import { addFaceOption } from '../model.ts';
import { addModelOptions, parseOptions } from '../options.ts';
import { AnswerOptions, answer } from './ask.ts';

export function addDescribe(program: Command, env: Environment): void {
  const command = program.command('describe').description('describe a face').argument('<image>', 'a photo with a face');
  addFaceOption(addModelOptions(command)).action((image: string, raw: Record<string, unknown>) =>
    answer(env, image, null, parseOptions('describe', AnswerOptions, raw)),
  );
}
