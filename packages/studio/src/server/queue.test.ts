import { expect, test } from 'vitest';
import { JobQueue } from './queue.ts';

const never = new AbortController().signal;

/** Work that ends when told, or when aborted. */
function held() {
  let finish = () => {};
  const run = (signal: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      finish = () => resolve('done');
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  return { run, finish: () => finish() };
}

test('serves in order, as many at a time as it may, and tells places', async () => {
  const queue = new JobQueue({ capacity: 10, concurrency: 2 });
  const works = Array.from({ length: 4 }, held);
  const places: number[][] = works.map(() => []);
  const jobs = works.map(({ run }, i) =>
    queue.submit('test', run, { signal: never, onPosition: (position) => places[i]!.push(position) }),
  );
  expect(places).toEqual([[0], [0], [2], [3]]);
  works[1]!.finish();
  await jobs[1]!.result;
  await Promise.resolve();
  expect(places).toEqual([[0], [0], [2, 0], [3, 2]]);
  for (const i of [0, 2, 3]) {
    works[i]!.finish();
    await jobs[i]!.result;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect([queue.waiting, queue.running]).toEqual([0, 0]);
});

test('refuses more than it holds; a place that is given up is free', async () => {
  const queue = new JobQueue({ capacity: 1, concurrency: 1 });
  const [first, second] = [held(), held()];
  const gone = new AbortController();
  queue.submit('test', first.run, { signal: never });
  const waiting = queue.submit('test', second.run, { signal: gone.signal });
  expect(() => queue.submit('test', held().run, { signal: never })).toThrow(expect.objectContaining({ status: 429 }));
  gone.abort();
  await expect(waiting.result).rejects.toMatchObject({ name: 'ClientGone' });
  queue.submit('test', held().run, { signal: never });
});

test('a failing job leaves the way free for the next', async () => {
  const queue = new JobQueue({ capacity: 5, concurrency: 1 });
  const bad = queue.submit('test', () => Promise.reject(new Error('bad')), { signal: never });
  const good = queue.submit('test', () => Promise.resolve(1), { signal: never });
  await expect(bad.result).rejects.toThrow('bad');
  expect(await good.result).toBe(1);
});

test('drains: takes no more, waits, then ends what is left with an error', async () => {
  const queue = new JobQueue({ capacity: 5, concurrency: 1 });
  const [first, second] = [held(), held()];
  const jobs = [first, second].map(({ run }) => queue.submit('test', run, { signal: never }));
  const drained = queue.drain(50);
  expect(() => queue.submit('test', first.run, { signal: never })).toThrow(expect.objectContaining({ status: 503 }));
  first.finish();
  expect(await jobs[0]!.result).toBe('done');
  await expect(jobs[1]!.result).rejects.toMatchObject({ status: 503, code: 'stopping' });
  await drained;
});
