import { execFileSync } from 'node:child_process';

/** Arguments of mpirun for so many ranks of a module on this host, however few its cores are, by any user. */
export function ranksOf(count: number, module: string, args: readonly string[] = []): string[] {
  return [
    ...['--allow-run-as-root', '--oversubscribe', '--bind-to', 'none', '-n', String(count)],
    // containers may not read another process's memory, and Open MPI complains
    ...['--mca', 'btl_vader_single_copy_mechanism', 'none'],
    ...[process.execPath, '--import', 'tsx', '--conditions=source', module, ...args],
  ];
}

/** Whether Open MPI is here; without it a test is skipped, with a line that says so. */
export function hasMpirun(): boolean {
  try {
    execFileSync('mpirun', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn('skipped: tests of several ranks need mpirun; try apt-get install openmpi-bin');
    return false;
  }
}
