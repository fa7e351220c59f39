import { directRuntime } from '@unif2ace/graph/node';
import type { Environment } from '../environment.ts';

/** What a command left behind. */
export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a command within the test, `root` being where bundled weights are looked for. */
export async function outcomeOf(
  place: Pick<Environment, 'cwd' | 'root' | 'signal'>,
  work: (env: Environment) => Promise<number>,
): Promise<Outcome> {
  const text = { stdout: '', stderr: '' };
  const collect = (name: keyof typeof text) => ({
    write: (part: string) => {
      text[name] += part;
    },
  });
  const code = await work({
    ...place,
    stdout: collect('stdout'),
    stderr: collect('stderr'),
    openRuntime: async () => ({ device: 'cpu', reason: 'in a test', runtime: directRuntime({ intraOpThreads: 1 }) }),
  });
  return { code, ...text };
}

/** The one line of a failure: what, expected, got, try. */
export const failure = /^[^\n]+: expected [^\n]+, got [^\n]+; try [^\n]+\n$/;
