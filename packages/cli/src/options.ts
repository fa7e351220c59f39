import { type Device, devices } from '@unif2ace/graph';
import type { Command } from 'commander';
import { z } from 'zod';
import { quoted, UsageError } from './errors.ts';

/** A number option. Commander hands over text; defaults are numbers. */
export function numberFrom(min: number, max: number, kind: 'real' | 'whole' = 'whole') {
  const limit = max === Number.MAX_SAFE_INTEGER ? '2^53 − 1' : max.toLocaleString('en-US');
  const message = `a ${kind === 'whole' ? 'whole ' : ''}number from ${min} to ${limit}`;
  return z.union([z.string(), z.number()]).transform((given, context) => {
    const text = String(given).trim();
    const value = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max && (kind === 'real' || Number.isSafeInteger(value))) return value;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

export const seedOption = numberFrom(0, Number.MAX_SAFE_INTEGER);
export const jsonOption = z.boolean().default(false);
/** As help and errors list them. */
const deviceNames = `auto, ${devices.slice(0, -1).join(', ')} or ${devices.at(-1)}`;
export const pathOption = z.string().min(1, { error: 'a path' });

/** The best of the bundled models. */
export const defaultModel = 'nano';

/** Options of every command that runs a model. */
export const modelOptions = {
  json: jsonOption,
  model: z.string().min(1, { error: 'a name or a folder' }),
  device: z.enum(['auto', ...devices], { error: deviceNames }),
};
export interface ModelChoice {
  json: boolean;
  model: string;
  device: Device | 'auto';
}

export function addJsonOption(command: Command): Command {
  return command.option('--json', 'one JSON document on stdout, progress on stderr');
}

export function addModelOptions(command: Command): Command {
  return addJsonOption(command)
    .option('--model <name|folder>', 'a bundled model or a model folder', defaultModel)
    .option('--device <device>', deviceNames, 'auto');
}

const flags: Record<string, string> = { count: '-n' };

/** Checks options. @throws UsageError naming the first that is wrong, what was expected and got. */
export function parseOptions<S extends z.ZodType>(
  command: string,
  schema: S,
  raw: Record<string, unknown>,
): z.output<S> {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const key = String(issue.path[0]);
  const flag = flags[key] ?? `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw new UsageError(
    `${flag}: expected ${issue.message}, got ${quoted(String(raw[key]))}; try unif2ace ${command} --help`,
  );
}
