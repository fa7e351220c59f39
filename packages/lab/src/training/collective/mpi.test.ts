import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Philox } from '@unif2ace/graph';
import { afterAll, describe, expect, test } from 'vitest';
import { launchedRank, threadsOfRank } from './launch.ts';
import { hasMpirun, ranksOf } from './test/mpirun.ts';

interface RankReport {
  rank: number;
  size: number;
  results: {
    length: number;
    summed: number[];
    doubles: number[];
    sent: number[];
    gathered: number[];
    gatheredBytes: number[];
    around: number[];
  }[];
}

const out = mkdtempSync(join(tmpdir(), 'unif2ace-mpi-'));
afterAll(() => rmSync(out, { recursive: true, force: true }));

function values(rank: number, length: number): Float32Array {
  const random = new Philox(rank, length);
  return Float32Array.from({ length }, () => random.normal());
}

describe.skipIf(!hasMpirun())('ranks of Open MPI', () => {
  // blocks of 1,000 bytes: arrays go in many pieces, the last one shorter
  test.each([
    { ranks: 2, blockBytes: 2 ** 28 },
    { ranks: 3, blockBytes: 1000 },
  ])(
    '$ranks ranks sum, send and gather arrays of odd lengths in blocks of $blockBytes bytes',
    ({ ranks, blockBytes }) => {
      const module = join(import.meta.dirname, 'test', 'sums-process.ts');
      execFileSync('mpirun', ranksOf(ranks, module, [out, String(blockBytes)]), {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const all = Array.from({ length: ranks }, (_, rank) => rank);
      const reports = all.map((rank) => JSON.parse(readFileSync(join(out, `rank-${rank}.json`), 'utf8')) as RankReport);
      expect(reports.map(({ rank, size }) => [rank, size])).toEqual(all.map((rank) => [rank, ranks]));
      for (const [i, { length, ...first }] of reports[0]!.results.entries()) {
        const parts = all.map((rank) => values(rank, length));
        const total = Array.from({ length }, (_, at) => parts.reduce((sum, part) => sum + part[at]!, 0));
        expect(Math.max(...total.map((value, at) => Math.abs(value - first.doubles[at]!)))).toBeLessThan(1e-14);
        expect(Math.max(...total.map((value, at) => Math.abs(value - first.summed[at]!)))).toBeLessThan(1e-5);
        expect(first.sent).toEqual(Array.from(parts.at(-1)!));
        expect(first.gathered).toEqual(parts.flatMap((part) => Array.from(part)));
        expect(first.gatheredBytes).toEqual(
          all.flatMap((rank) => Array.from({ length }, (_, at) => (rank + at) % 256)),
        );
        // what lies beside the view stays as it was
        const sum = (ranks * (ranks - 1)) / 2;
        for (const { rank, results } of reports) {
          const { around, ...rest } = results[i]!;
          expect(around).toEqual([rank, ...new Array<number>(length).fill(sum), rank]);
          const { around: _, ...same } = first;
          // to the bit: ranks that differ would drift apart
          expect(rest).toEqual({ length, ...same });
        }
      }
    },
  );
});

describe('a launched process', () => {
  test('knows its rank from mpirun or PMIx', () => {
    expect(launchedRank({})).toBeUndefined();
    expect(launchedRank({ OMPI_COMM_WORLD_RANK: '0' })).toBe(0);
    expect(launchedRank({ PMIX_RANK: '3' })).toBe(3);
  });

  test('computes on the cores it is bound to, or on its share of them all', () => {
    const local = { OMPI_COMM_WORLD_LOCAL_SIZE: '4' };
    expect(threadsOfRank(local, { host: 32, allowed: 32 })).toBe(8);
    expect(threadsOfRank(local, { host: 32, allowed: 6 })).toBe(6);
    expect(threadsOfRank(local, { host: 2, allowed: 2 })).toBe(1);
    expect(threadsOfRank({}, { host: 2, allowed: 2 })).toBe(2);
  });
});
