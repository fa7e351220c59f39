import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { overOutages } from './outages.ts';

const pollMs = 250;
const relockTries = 40;
const relockMs = 25;

const lockText = 'select pg_try_advisory_lock(hashtextextended($1, 0)) as done';
const unlockText = 'select pg_advisory_unlock(hashtextextended($1, 0)) as done';

async function ask(client: pg.Client, text: string, name: string): Promise<boolean> {
  const { rows } = await client.query<{ done: boolean }>(text, [name]);
  return rows[0]!.done;
}

/**
 * Locks by name that hold among all processes on a database: PostgreSQL's advisory locks on one connection, so that those of a
 * process that died are free at once. Within a process the caller sees to it that a name is asked for once at a time.
 */
export class PgLocks {
  readonly #url: string;
  readonly #held = new Set<string>();
  #client: Promise<pg.Client> | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  /** Runs the work under a lock, when it is free. @throws the work's error, the signal's reason, the last error of a server that stays away. */
  async exclusively<T>(name: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    while (!(await this.#query(lockText, name)))
      await sleep(pollMs, undefined, { signal }).catch(() => {
        throw signal.reason;
      });
    this.#held.add(name);
    try {
      return await work();
    } finally {
      this.#held.delete(name);
      // a lock that was lost with its connection is no fault of the work
      await this.#query(unlockText, name).catch(() => {});
    }
  }

  async #query(text: string, name: string): Promise<boolean> {
    return overOutages(async () => {
      this.#client ??= this.#connect();
      return ask(await this.#client, text, name);
    });
  }

  #connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#url, keepAlive: true });
    const opened = this.#open(client);
    // word of an old connection may come when there is a new one
    const lost = () => {
      if (this.#client === opened) this.#client = undefined;
    };
    client.on('error', lost);
    client.on('end', lost);
    opened.catch(lost);
    return opened;
  }

  async #open(client: pg.Client): Promise<pg.Client> {
    await client.connect();
    // what is being worked on under a connection that broke stays locked, once the server has noticed that it broke
    for (const name of this.#held)
      for (let left = relockTries; left > 0 && !(await ask(client, lockText, name)); left--) await sleep(relockMs);
    return client;
  }

  async close(): Promise<void> {
    const client = await this.#client?.catch(() => undefined);
    this.#client = undefined;
    await client?.end();
  }
}
