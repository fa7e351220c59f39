import { deserialize, serialize } from 'node:v8';
import pg from 'pg';
import { DataError } from '../celeba.ts';
import { overOutages } from './outages.ts';
import { PgLocks } from './pg-locks.ts';
import { type BuildStore, tables } from './store.ts';

/**
 * The store on PostgreSQL, shared by hosts: one table, a row a result. Lost connections are tried again for about a minute,
 * so that a database that restarts costs a pause; repeating is harmless, since a result is written once.
 * @throws DataError when the server cannot be reached.
 */
export async function openPostgresStore(url: string): Promise<BuildStore> {
  const pool = new pg.Pool({ connectionString: url, max: 8 });
  // an idle connection that breaks is replaced by the pool
  pool.on('error', () => {});
  const query = (text: string, values: unknown[] = []): Promise<pg.QueryResult> =>
    overOutages(() => pool.query(text, values)).catch((error: Error) => {
      throw new DataError(
        `data: expected PostgreSQL to answer at ${withoutPassword(url)}, got ${error.message}; try whether the server runs`,
      );
    });
  await query(
    `create table if not exists unif2ace_results (
       stage text not null, key text not null, value bytea not null, primary key (stage, key))`,
  ).catch(async (error) => {
    await pool.end();
    throw error;
  });
  const locks = new PgLocks(url);
  return {
    exclusively: (key, work, signal) => locks.exclusively(key, work, signal),
    async get(table, key) {
      const { rows } = await query('select value from unif2ace_results where stage = $1 and key = $2', [table, key]);
      return rows[0] ? deserialize(rows[0].value) : undefined;
    },
    async has(table, key) {
      const { rowCount } = await query('select 1 from unif2ace_results where stage = $1 and key = $2', [table, key]);
      return (rowCount ?? 0) > 0;
    },
    async put(table, entries) {
      if (!tables.includes(table)) throw new Error(`store: no table ${table}`);
      for (const [key, value] of entries)
        await query('insert into unif2ace_results values ($1, $2, $3) on conflict do nothing', [
          table,
          key,
          serialize(value),
        ]);
    },
    async close() {
      await locks.close();
      await pool.end();
    },
  };
}

export function withoutPassword(url: string): string {
  return url.replace(/:\/\/[^@/]*@/, '://');
}
