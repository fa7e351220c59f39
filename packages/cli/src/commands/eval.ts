import type { Command } from 'commander';
import type { Environment } from '../environment.ts';
import { addEvalAttributes } from './eval-attributes.ts';
import { addEvalGeneration } from './eval-generation.ts';
import { addEvalRouting } from './eval-routing.ts';
import { addEvalTokenizer } from './eval-tokenizer.ts';
import { addEvalUnderstanding } from './eval-understanding.ts';

export function addEval(program: Command, env: Environment): void {
  const command = program.command('eval').description('measure a model on identities that it was not trained on');
  addEvalAttributes(command, env);
  addEvalGeneration(command, env);
  addEvalRouting(command, env);
  addEvalTokenizer(command, env);
  addEvalUnderstanding(command, env);
}
