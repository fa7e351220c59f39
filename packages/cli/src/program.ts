import { readFileSync } from 'node:fs';
import { BatchesPending } from '@unif2ace/lab';
import { Command, CommanderError } from 'commander';
import { addAsk } from './commands/ask.ts';
import { addData } from './commands/data.ts';
import { addDescribe } from './commands/describe.ts';
import { addEdit } from './commands/edit.ts';
import { addEval } from './commands/eval.ts';
import { addGenerate } from './commands/generate.ts';
import { addInspect } from './commands/inspect.ts';
import { addReconstruct } from './commands/reconstruct.ts';
import { addServe } from './commands/serve.ts';
import { addTrain } from './commands/train.ts';
import type { Environment } from './environment.ts';
import { exitCodes, ItemsFailed, oneLine, StoppedAsAsked, UsageError } from './errors.ts';

function version(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** The command with all its parts; nothing runs until it is parsed. */
function makeProgram(env: Environment): Command {
  const program = new Command('unif2ace')
    .description('Generates faces from words, describes faces and answers questions about them.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => env.stdout.write(text),
      writeErr: (text) => env.stderr.write(text),
      // usage errors are written by run, as one line
      outputError: () => {},
    });
  for (const add of [addGenerate, addEdit, addDescribe, addAsk, addReconstruct, addInspect, addTrain, addEval, addData])
    add(program, env);
  addServe(program, env, version());
  return program;
}

/** Commander's message in our form. */
function usageLine(error: CommanderError, args: readonly string[]): string {
  const command = args.find((argument) => !argument.startsWith('-'));
  const known = command && error.code !== 'commander.unknownCommand' ? ` ${command}` : '';
  return `${error.message.replace(/^error: /, '').replace(/\.$/, '')}; try unif2ace${known} --help`;
}

/**
 * Runs one command line (without node and script) and returns the exit code. Never throws: an error becomes one line on
 * stderr.
 */
export async function run(args: readonly string[], env: Environment): Promise<number> {
  const fail = (text: string, code: number) => {
    env.stderr.write(`${oneLine(text)}\n`);
    return code;
  };
  try {
    await makeProgram(env).parseAsync(args, { from: 'user' });
    return env.signal.aborted ? exitCodes.interrupted : exitCodes.done;
  } catch (error) {
    if (error instanceof StoppedAsAsked) return exitCodes.done;
    if (env.signal.aborted) return fail('interrupted', exitCodes.interrupted);
    // bare `unif2ace`: the help has been written
    if (error instanceof CommanderError && error.code === 'commander.help') return exitCodes.usage;
    if (error instanceof CommanderError)
      return error.exitCode === 0 ? exitCodes.done : fail(usageLine(error, args), exitCodes.usage);
    if (error instanceof ItemsFailed) return fail(error.message, error.exitCode);
    if (error instanceof BatchesPending) return fail(error.message, exitCodes.pending);
    if (error instanceof UsageError) return fail(error.message, exitCodes.usage);
    return fail(error instanceof Error ? error.message : String(error), exitCodes.failed);
  }
}
