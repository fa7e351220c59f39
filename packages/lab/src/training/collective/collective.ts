/** Values that ranks exchange as they are. */
export type ExchangedArray = Float32Array | Float64Array | Int32Array | Uint8Array;

/**
 * Processes that compute together. All of them call the same operations in the same order with arrays of the same length;
 * an operation blocks its thread until it has what it needs of the others.
 */
export interface Collective {
  /** This process, 0 … size − 1. Rank 0 writes files and reports. */
  readonly rank: number;
  readonly size: number;
  /** Replaces each value by its sum over the ranks: the same bits on all of them. */
  allReduce(values: Float32Array | Float64Array): void;
  /** Replaces the values by those of one rank, 0 by default. */
  broadcast(values: ExchangedArray, root?: number): void;
  /** The values of all ranks one after the other, in order of rank. */
  allGather<T extends ExchangedArray>(values: T): T;
  /** Waits until every rank is here. */
  barrier(): void;
}

/** A process alone. */
export const single: Collective = {
  rank: 0,
  size: 1,
  allReduce: () => {},
  broadcast: () => {},
  allGather: (values) => values,
  barrier: () => {},
};
