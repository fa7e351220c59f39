import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Philox } from '@unif2ace/graph';
import { openMpi } from '../mpi.ts';

// A rank that puts its values together with the others' and writes what it got: mpirun … sums-process.ts OUT BLOCK-BYTES

const [out, blockBytes] = process.argv.slice(2) as [string, string];
const mpi = openMpi(Number(blockBytes));
/** The values of a rank, as the test knows them too. */
const values = (length: number) => {
  const random = new Philox(mpi.rank, length);
  return Float32Array.from({ length }, () => random.normal());
};
const results = [1, 7, 1025, 20_011].map((length) => {
  const summed = values(length);
  mpi.allReduce(summed);
  const doubles = Float64Array.from(values(length));
  mpi.allReduce(doubles);
  const sent = values(length);
  mpi.broadcast(sent, mpi.size - 1);
  const bytes = Uint8Array.from({ length }, (_, i) => mpi.rank + i);
  const gathered = mpi.allGather(values(length));
  mpi.barrier();
  // a view in the midst of another array
  const around = new Float32Array(length + 2).fill(mpi.rank);
  mpi.allReduce(around.subarray(1, -1));
  const list = (array: Float32Array | Float64Array) => Array.from(array);
  return {
    length,
    summed: list(summed),
    doubles: list(doubles),
    sent: list(sent),
    gathered: list(gathered),
    gatheredBytes: Array.from(mpi.allGather(bytes)),
    around: list(around),
  };
});
writeFileSync(join(out, `rank-${mpi.rank}.json`), JSON.stringify({ rank: mpi.rank, size: mpi.size, results }));
mpi.close();
