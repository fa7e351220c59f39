import { availableParallelism, cpus } from 'node:os';

type Variables = Readonly<Record<string, string | undefined>>;

/** Rank of this process in the job that mpirun (or srun with PMIx) started it for; undefined when it runs by itself. */
export function launchedRank(variables: Variables = process.env): number | undefined {
  const rank = variables.OMPI_COMM_WORLD_RANK ?? variables.PMIX_RANK;
  return rank === undefined ? undefined : Number(rank);
}

/**
 * Threads for the products of one rank: the cores it is bound to, or its share of the host's when it is bound to none.
 * @param cores of the host, and those that this process may run on.
 */
export function threadsOfRank(
  variables: Variables = process.env,
  cores = { host: cpus().length, allowed: availableParallelism() },
): number {
  const neighbours = Number(variables.OMPI_COMM_WORLD_LOCAL_SIZE ?? variables.SLURM_NTASKS_PER_NODE ?? 1);
  if (cores.allowed < cores.host) return cores.allowed;
  return Math.max(1, Math.floor(cores.allowed / neighbours));
}
