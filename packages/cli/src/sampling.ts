import type { Command } from 'commander';
import type { OpenModel } from './model.ts';
import { numberFrom, pathOption, seedOption } from './options.ts';

/** Options of every command that makes pictures. */
export const samplingOptions = {
  count: numberFrom(1, 1024),
  steps: numberFrom(1, 1024),
  guidance: numberFrom(0, 100, 'real').optional(),
  temperature: numberFrom(0, 100, 'real'),
  candidates: numberFrom(1, 16),
  seed: seedOption.optional(),
  out: pathOption.optional(),
  scale: numberFrom(1, 64),
};

export const guidanceHelp =
  "how much further than learnt words are followed; 0 is as learnt (default: the model's own)";
/** Flag, help and default. */
export const candidatesOption = [
  '--candidates <number>',
  'faces made for each, of which the model keeps the one that fits the words best',
  '1',
] as const;

export function addSamplingOptions(command: Command): Command {
  return command
    .option('-n, --count <number>', 'images to make', '1')
    .option('--steps <number>', 'denoising steps', '12')
    .option('--guidance <number>', guidanceHelp)
    .option('--temperature <number>', 'variety; 0 is the most probable face', '1')
    .option(...candidatesOption)
    .option('--seed <number>', 'the same seed gives the same bytes (default: a new one, printed)')
    .option('--out <file|folder>', 'a .png file, or a folder (default: out/)')
    .option('--scale <factor>', 'enlarge every pixel to a square of this side', '8');
}

/** Things about a prompt that its writer should know. */
export function promptNotes(prompt: string, { loaded }: OpenModel): string[] {
  if (prompt.trim() === '') return ['the prompt is empty: any face may come'];
  // t2i, sot and eot take three of the promptTokens + 1 places
  const room = loaded.config.promptTokens - 2;
  const tokens = loaded.tokenizer.encode(prompt).length;
  return tokens > room ? [`the prompt has ${tokens} tokens; the model reads the first ${room}, the rest is cut`] : [];
}
