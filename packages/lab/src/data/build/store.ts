import { statfsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { open, type RootDatabase } from 'lmdb';
import { DataError } from '../celeba.ts';
import type { ResultStore } from '../llm/endpoint.ts';

export const tables = ['files', 'photos', 'attributes', 'captions', 'questions', 'llm'] as const;
type TableName = (typeof tables)[number];

/**
 * Results of stages by key. A result is written once: what is there stays, since its key says what it was made of. When
 * `put` resolves, a killed process does not lose it.
 */
export interface BuildStore {
  get(table: TableName, key: string): Promise<unknown>;
  has(table: TableName, key: string): Promise<boolean>;
  put(table: TableName, entries: readonly (readonly [key: string, value: unknown])[]): Promise<void>;
  /** As of `ResultStore`; where other hosts share the store. */
  exclusively?: ResultStore['exclusively'];
  close(): Promise<void>;
}

interface Waiting {
  table: TableName;
  entries: readonly (readonly [key: string, value: unknown])[];
  resolve: () => void;
  reject: (error: Error) => void;
}

/** The embedded store: LMDB in a folder, for one host (several processes may share it). */
export async function openLmdbStore(folder: string): Promise<BuildStore> {
  let root: RootDatabase;
  try {
    await mkdir(folder, { recursive: true });
    root = open({ path: folder, maxDbs: tables.length, noSubdir: false, noMemInit: true, mapSize: 2 ** 30 });
  } catch (error) {
    throw new DataError(
      `data: expected a folder for intermediate results at ${folder}, got ${(error as Error).message}; try another --out`,
    );
  }
  const databases = Object.fromEntries(tables.map((name) => [name, root.openDB<unknown, string>({ name })]));
  const tableOf = (name: TableName) => databases[name]!;
  let waiting: Waiting[] = [];
  // all that came since the last commit shares one write to the disk; a full one is met here, by those who wait
  const commit = () => {
    const batch = waiting;
    waiting = [];
    try {
      root.transactionSync(() => {
        for (const { table, entries } of batch)
          for (const [key, value] of entries) if (!tableOf(table).doesExist(key)) tableOf(table).putSync(key, value);
      });
    } catch (error) {
      const reason = (error as Error).message.split(':')[0];
      // LMDB calls a full disk an I/O error where a write went half through
      const { bavail, bsize } = statfsSync(folder);
      const failed = new DataError(
        `data: expected room for intermediate results in ${folder}, got "${reason}" with ${Math.floor((bavail * bsize) / 1000)} kB free; try to free space, then run again`,
      );
      for (const { reject } of batch) reject(failed);
      return;
    }
    for (const { resolve } of batch) resolve();
  };
  return {
    get: async (table, key) => tableOf(table).get(key),
    has: async (table, key) => tableOf(table).doesExist(key),
    put: (table, entries) =>
      new Promise<void>((resolve, reject) => {
        waiting.push({ table, entries, resolve, reject });
        if (waiting.length === 1) setImmediate(commit);
      }),
    close: () => root.close(),
  };
}

/** The part of a store that keeps an endpoint's answers. */
export function resultStoreOf(store: BuildStore): ResultStore {
  return {
    get: (key) => store.get('llm', key),
    put: (key, value) => store.put('llm', [[key, value]]),
    ...(store.exclusively && { exclusively: store.exclusively }),
  };
}
