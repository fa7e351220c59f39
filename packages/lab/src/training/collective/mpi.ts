import koffi from 'koffi';
import { TrainError } from '../events.ts';
import type { Collective, ExchangedArray } from './collective.ts';

/** The ranks of an MPI job. Calls come from the thread that opened it. */
export interface MpiCollective extends Collective {
  /** Ends all ranks at once; the exit code of the job is `code`. Does not return. */
  abort(code: number): never;
  /** Leaves the job in peace, when all ranks do. Nothing may be called after it. */
  close(): void;
}

const libraryName = 'libmpi.so.40';
/** MPI_THREAD_FUNNELED: one thread of the process calls, the one that initialises. */
const funneled = 1;
/** MPI_IN_PLACE of Open MPI. */
const inPlace = 1n;
/** Counts are C ints; blocks of this length also keep what MPI allocates beside them small. */
const defaultBlockBytes = 2 ** 28;

type Handle = bigint;

/** Functions and handles of Open MPI's library. @throws TrainError when it is not there. */
function loadLibrary() {
  try {
    // global: the library loads plugins that look for its symbols
    const library = koffi.load(libraryName, { global: true });
    const handle = (name: string) => library.symbol(`ompi_mpi_${name}`) as Handle;
    return {
      initThread: library.func('int MPI_Init_thread(void *argc, void *argv, int required, _Out_ int *provided)'),
      commRank: library.func('int MPI_Comm_rank(void *comm, _Out_ int *rank)'),
      commSize: library.func('int MPI_Comm_size(void *comm, _Out_ int *size)'),
      allReduce: library.func(
        'int MPI_Allreduce(void *send, void *receive, int count, void *type, void *op, void *comm)',
      ),
      broadcast: library.func('int MPI_Bcast(void *buffer, int count, void *type, int root, void *comm)'),
      allGather: library.func(
        'int MPI_Allgather(void *send, int sent, void *sendType, void *receive, int received, void *receiveType, void *comm)',
      ),
      barrier: library.func('int MPI_Barrier(void *comm)'),
      abort: library.func('int MPI_Abort(void *comm, int code)'),
      finalize: library.func('int MPI_Finalize()'),
      world: handle('comm_world'),
      float: handle('float'),
      double: handle('double'),
      byte: handle('byte'),
      sum: handle('op_sum'),
    };
  } catch (error) {
    throw new TrainError(
      `train: expected Open MPI 4 (${libraryName}) under mpirun, got ${(error as Error).message}; try apt-get install openmpi-bin`,
    );
  }
}

/**
 * Joins the job that mpirun (or srun) started this process for. Once in a process. A fault of MPI itself ends the job: its
 * error handler is the default one.
 * @param blockBytes of arrays that go in one call.
 * @throws TrainError without Open MPI.
 */
export function openMpi(blockBytes = defaultBlockBytes): MpiCollective {
  const mpi = loadLibrary();
  const check = (code: number, what: string) => {
    if (code !== 0) throw new TrainError(`train: MPI_${what} failed with code ${code}`);
  };
  const provided = [0];
  check(mpi.initThread(null, null, funneled, provided), 'Init_thread');
  const [rank, size] = [[0], [0]];
  check(mpi.commRank(mpi.world, rank), 'Comm_rank');
  check(mpi.commSize(mpi.world, size), 'Comm_size');
  return new World(mpi, rank[0]!, size[0]!, blockBytes, check);
}

class World implements MpiCollective {
  readonly rank: number;
  readonly size: number;
  readonly #mpi: ReturnType<typeof loadLibrary>;
  readonly #blockBytes: number;
  readonly #check: (code: number, what: string) => void;

  constructor(
    mpi: ReturnType<typeof loadLibrary>,
    rank: number,
    size: number,
    blockBytes: number,
    check: (code: number, what: string) => void,
  ) {
    this.#mpi = mpi;
    this.rank = rank;
    this.size = size;
    this.#blockBytes = blockBytes;
    this.#check = check;
  }

  allReduce(values: Float32Array | Float64Array): void {
    const { allReduce, float, double, sum, world } = this.#mpi;
    const type = values instanceof Float32Array ? float : double;
    for (const block of blocks(values, this.#blockBytes))
      this.#check(allReduce(inPlace, block, block.length, type, sum, world), 'Allreduce');
  }

  broadcast(values: ExchangedArray, root = 0): void {
    const { broadcast, byte, world } = this.#mpi;
    for (const block of blocks(asBytes(values), this.#blockBytes))
      this.#check(broadcast(block, block.length, byte, root, world), 'Bcast');
  }

  allGather<T extends ExchangedArray>(values: T): T {
    const { allGather, byte, world } = this.#mpi;
    const all = new (values.constructor as new (length: number) => T)(values.length * this.size);
    const [own, target] = [asBytes(values), asBytes(all)];
    let start = 0;
    for (const block of blocks(own, Math.ceil(this.#blockBytes / this.size))) {
      const gathered = new Uint8Array(block.length * this.size);
      this.#check(allGather(block, block.length, byte, gathered, block.length, byte, world), 'Allgather');
      for (let rank = 0; rank < this.size; rank++)
        target.set(gathered.subarray(rank * block.length, (rank + 1) * block.length), rank * own.length + start);
      start += block.length;
    }
    return all;
  }

  barrier(): void {
    this.#check(this.#mpi.barrier(this.#mpi.world), 'Barrier');
  }

  abort(code: number): never {
    this.#mpi.abort(this.#mpi.world, code);
    throw new TrainError('train: MPI_Abort came back');
  }

  close(): void {
    this.#check(this.#mpi.finalize(), 'Finalize');
  }
}

function asBytes({ buffer, byteOffset, byteLength }: ExchangedArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Consecutive views of at most so many bytes. */
function* blocks<T extends ExchangedArray>(values: T, bytes: number): Generator<T> {
  const length = Math.max(1, Math.floor(bytes / values.BYTES_PER_ELEMENT));
  for (let start = 0; start < values.length; start += length) yield values.subarray(start, start + length) as T;
}
