import { exitCodes } from './errors.ts';

/**
 * A signal that Ctrl+C (or SIGTERM) aborts, so that work ends cleanly; a second one ends the process at once. So does SIGUSR2,
 * which mpirun passes on to its ranks and schedulers send before the time is up.
 * A reader that goes away (`| head`) ends it quietly.
 */
export function interruptible(): AbortSignal {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    controller.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  process.on('SIGUSR2', stop);
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(exitCodes.done);
  });
  return controller.signal;
}
