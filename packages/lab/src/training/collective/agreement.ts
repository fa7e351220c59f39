import { createHash } from 'node:crypto';
import { TrainError } from '../events.ts';
import type { Collective } from './collective.ts';

// What ranks settle with each other beside the sums.

/** Replaces values by their mean over the ranks. */
export function averageOverRanks(collective: Collective, values: Float32Array | Float64Array): void {
  if (collective.size === 1) return;
  collective.allReduce(values);
  const factor = 1 / collective.size;
  for (let i = 0; i < values.length; i++) values[i] = values[i]! * factor;
}

/** Means over the ranks of figures that have the same names on all of them. */
export function averageFigures(collective: Collective, figures: Record<string, number>): Record<string, number> {
  if (collective.size === 1) return figures;
  const names = Object.keys(figures).sort();
  const values = Float64Array.from(names, (name) => figures[name]!);
  averageOverRanks(collective, values);
  return Object.fromEntries(names.map((name, i) => [name, values[i]!]));
}

/** Whether it is so on any rank. */
export function onAnyRank(collective: Collective, here: boolean): boolean {
  const count = Float64Array.of(Number(here));
  collective.allReduce(count);
  return count[0]! > 0;
}

/** What rank 0 says. */
export function numberOfRoot(collective: Collective, here: number): number {
  const value = Float64Array.of(here);
  collective.broadcast(value);
  return value[0]!;
}

/** A text of rank 0; the others pass nothing. */
export function textOfRoot(collective: Collective, here: string | undefined): string {
  const bytes = Buffer.from(here ?? '');
  const shared = new Uint8Array(numberOfRoot(collective, bytes.length));
  if (collective.rank === 0) shared.set(bytes);
  collective.broadcast(shared);
  return Buffer.from(shared).toString();
}

/** Named arrays of rank 0; the others pass nothing, or arrays of these names to be filled. */
export function arraysOfRoot(
  collective: Collective,
  here: ReadonlyMap<string, Float32Array> | undefined,
): ReadonlyMap<string, Float32Array> {
  if (collective.size === 1) return here!;
  const layout = textOfRoot(collective, here && JSON.stringify([...here].map(([name, data]) => [name, data.length])));
  const entries = JSON.parse(layout) as [name: string, length: number][];
  const arrays = new Map(entries.map(([name, length]) => [name, here?.get(name) ?? new Float32Array(length)]));
  for (const data of arrays.values()) collective.broadcast(data);
  return arrays;
}

/** @throws TrainError when ranks hold other bits: one of their machines computes wrongly. */
export function assertSameOnAllRanks(collective: Collective, arrays: readonly Float32Array[], what: string): void {
  if (collective.size === 1) return;
  const hash = createHash('sha256');
  for (const { buffer, byteOffset, byteLength } of arrays) hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  const sums = collective.allGather(new Uint8Array(hash.digest()));
  const length = sums.length / collective.size;
  const hex = (rank: number) => Buffer.from(sums.subarray(rank * length, (rank + 1) * length)).toString('hex');
  const other = Array.from({ length: collective.size }, (_, rank) => rank).find((rank) => hex(rank) !== hex(0));
  if (other !== undefined)
    throw new TrainError(
      `train: ${what}: expected the same parameters on all ranks, got others on rank ${other} than on rank 0; try --resume without its host`,
    );
}
