import pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { PgLocks } from './pg-locks.ts';

// needs a PostgreSQL: UNIF2ACE_POSTGRES is its address
const url = process.env.UNIF2ACE_POSTGRES ?? '';
const never = new AbortController().signal;
const open: PgLocks[] = [];
const locks = () => {
  const made = new PgLocks(url);
  open.push(made);
  return made;
};
/** Work that runs until it is let go, and says when it began. */
function held() {
  let letGo = () => {};
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const end = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  return {
    begun,
    letGo,
    work: async () => {
      begin();
      await end;
      return 'done';
    },
  };
}

describe.skipIf(!url)('locks of several processes (UNIF2ACE_POSTGRES)', () => {
  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.close()));
  });

  test('one at a time under a name, another name at once', async () => {
    const [a, b] = [locks(), locks()];
    const first = held();
    const running = a.exclusively('face 1', first.work, never);
    await first.begun;
    let second = 'waiting';
    const after = b.exclusively('face 1', async () => (second = 'ran'), never);
    expect(await b.exclusively('face 2', async () => 'free', never)).toBe('free');
    expect(second).toBe('waiting');
    first.letGo();
    expect([await running, await after, second]).toEqual(['done', 'ran', 'ran']);
  });

  test('is free when its process has gone, and after an error of the work', async () => {
    const [a, b] = [locks(), locks()];
    await expect(a.exclusively('x', () => Promise.reject(new Error('broken')), never)).rejects.toThrow('broken');
    const first = held();
    const running = a.exclusively('x', first.work, never);
    await first.begun;
    await a.close();
    expect(await b.exclusively('x', async () => 'mine', never)).toBe('mine');
    first.letGo();
    await running;
  });

  test('outlives its connection while the work goes on', async () => {
    const [a, b] = [locks(), locks()];
    const first = held();
    const running = a.exclusively('kept', first.work, never);
    await first.begun;
    const admin = new pg.Client(url);
    await admin.connect();
    const { rowCount } = await admin.query(
      `select pg_terminate_backend(pid) from pg_locks
       where locktype = 'advisory' and (classid::int8 << 32 | objid::int8) = hashtextextended('kept', 0)`,
    );
    expect(rowCount).toBe(1);
    await admin.end();
    // the next use of the locks connects anew and takes back what is held
    await a.exclusively('other', async () => {}, never);
    const stop = new AbortController();
    const waiting = b.exclusively('kept', async () => 'stolen', stop.signal);
    const soon = setTimeout(() => stop.abort(new Error('waited')), 800);
    await expect(waiting).rejects.toThrow('waited');
    clearTimeout(soon);
    first.letGo();
    expect(await running).toBe('done');
    expect(await b.exclusively('kept', async () => 'then', never)).toBe('then');
  });
});
