import { appendFile, open, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { logName, RatingsLog } from './ratings-log.ts';
import { exampleRating, temporaryFolder } from './test/review-fixture.ts';

let place: Awaited<ReturnType<typeof temporaryFolder>>;
let path: string;
beforeEach(async () => {
  place = await temporaryFolder();
  path = join(place.folder, logName);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await place.remove();
});

async function write(...raters: string[]): Promise<void> {
  const { log } = await RatingsLog.open(place.folder);
  await Promise.all(raters.map((rater) => log.append(exampleRating(rater, 'i'))));
  await log.close();
}

const reopened = async () => {
  const { log, ratings, notices } = await RatingsLog.open(place.folder);
  await log.close();
  return { raters: ratings.map(({ rater }) => rater), notices };
};

test('what was added is there again, in order', async () => {
  await write('a', 'b');
  await write('c');
  expect(await reopened()).toEqual({ raters: ['a', 'b', 'c'], notices: [] });
});

test('cut at any byte: all complete lines are kept, the rest is reported, and writing goes on', async () => {
  await write('a', 'b');
  const whole = await readFile(path);
  const lineBytes = whole.indexOf(0x0a) + 1;
  for (const bytes of [0, 1, lineBytes - 1, lineBytes, lineBytes + 1, whole.length - 1]) {
    await writeFile(path, whole);
    await truncate(path, bytes);
    const { raters, notices } = await reopened();
    expect(raters).toEqual(bytes >= lineBytes ? ['a'] : []);
    expect(notices.length).toBe(bytes % lineBytes === 0 ? 0 : 1);
    await write('z');
    expect((await reopened()).raters).toEqual([...raters, 'z']);
  }
});

test('a complete line that is no rating is not passed over', async () => {
  await write('a');
  await appendFile(path, '{"version":2}\n');
  await expect(RatingsLog.open(place.folder)).rejects.toThrow(/line 2: expected a rating of version 1.*try/);
  await writeFile(path, 'nonsense\n');
  await expect(RatingsLog.open(place.folder)).rejects.toThrow(/line 1: expected a rating as JSON/);
});

test('a second rating of an item by one rater does not count', async () => {
  await write('a', 'a', 'b');
  expect(await reopened()).toMatchObject({ raters: ['a', 'b'], notices: [expect.stringContaining('line 2')] });
});

test('a folder that is a file', async () => {
  await writeFile(path, '');
  await expect(RatingsLog.open(path)).rejects.toThrow(/expected to write ratings to .*, got E\w+; try/);
});

describe('a disk without room', () => {
  async function fileHandlePrototype() {
    const handle = await open(path, 'a');
    await handle.close();
    return Object.getPrototypeOf(handle) as {
      write: (...args: unknown[]) => Promise<unknown>;
      datasync(): Promise<void>;
    };
  }

  test('a torn write is taken back and reported', async () => {
    await write('a');
    const { size } = await stat(path);
    const prototype = await fileHandlePrototype();
    const { write: original } = prototype;
    const { log } = await RatingsLog.open(place.folder);
    vi.spyOn(prototype, 'write').mockImplementationOnce(function (this: unknown, ...[line]: unknown[]) {
      return original.call(this, (line as Buffer).subarray(0, 10));
    });
    await expect(log.append(exampleRating('b', 'i'))).rejects.toThrow(/got ENOSPC; try a disk with room/);
    expect((await stat(path)).size).toBe(size);
    await log.append(exampleRating('c', 'i'));
    await log.close();
    expect(await reopened()).toEqual({ raters: ['a', 'c'], notices: [] });
  });

  test('a line counts only once it is synchronised', async () => {
    const prototype = await fileHandlePrototype();
    const { log } = await RatingsLog.open(place.folder);
    vi.spyOn(prototype, 'datasync').mockRejectedValueOnce(Object.assign(new Error('bad disk'), { code: 'EIO' }));
    await expect(log.append(exampleRating('a', 'i'))).rejects.toThrow(/got EIO/);
    await log.close();
    expect((await reopened()).raters).toEqual([]);
  });
});
