import { describe, expect, test } from 'vitest';
import { batchSize, StepBatcher } from './step-batcher.ts';

interface Item {
  rows: number;
  kind: string;
  name: string;
}

const wait = () => new Promise((resolve) => setTimeout(resolve, 2));

function batcher(fail = false) {
  const runs: string[] = [];
  const made = new StepBatcher<Item, string>(4, async (items) => {
    runs.push(items.map(({ name }) => name).join(''));
    await wait();
    if (fail) throw new Error('device lost');
    return items.map(({ name }) => name.toLowerCase());
  });
  const step = (name: string, rows = 1, kind = 'x', signal?: AbortSignal) => made.submit({ name, rows, kind }, signal);
  return { runs, step };
}

describe('StepBatcher', () => {
  test('what is asked for at the same time shares a run, up to the budget, in order', async () => {
    const { runs, step } = batcher();
    const results = await Promise.all([step('A', 2), step('B'), step('C', 2), step('D'), step('E', 9)]);
    expect(results).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(runs).toEqual(['AB', 'CD', 'E']);
  });

  test('requests that go on stay together; nobody is left behind for long', async () => {
    const { runs, step } = batcher();
    const request = async (name: string, steps: number) => {
      for (let i = 0; i < steps; i++) await step(name, 2);
    };
    await Promise.all(['A', 'B', 'C'].map((name) => request(name, 4)));
    // 12 steps of two rows, two a run
    expect(runs.length).toBeLessThanOrEqual(7);
    for (const name of 'ABC') {
      const places = runs.flatMap((run, i) => (run.includes(name) ? [i] : []));
      places.slice(1).forEach((place, i) => {
        expect(place - places[i]!).toBeLessThanOrEqual(2);
      });
    }
  });

  test('kinds do not mix', async () => {
    const { runs, step } = batcher();
    await Promise.all([step('A', 1, 'x'), step('B', 1, 'y'), step('C', 1, 'x')]);
    expect(runs).toEqual(['AC', 'B']);
  });

  test('an aborted step is not run; a failing run fails its own items and no others', async () => {
    const { runs, step } = batcher();
    const stop = new AbortController();
    const [kept, gone] = [step('A'), step('B', 1, 'x', stop.signal)];
    stop.abort(new Error('left'));
    await expect(gone).rejects.toThrow('left');
    await expect(step('C', 1, 'x', stop.signal)).rejects.toThrow('left');
    expect(await kept).toBe('a');
    expect(runs).toEqual(['A']);
    const failing = batcher(true);
    await expect(Promise.all([failing.step('A')])).rejects.toThrow('device lost');
    await expect(failing.step('B')).rejects.toThrow('device lost');
  });

  test('batch sizes are few', () => {
    expect(Array.from({ length: 8 }, (_, i) => batchSize(i + 1))).toEqual([1, 2, 4, 4, 6, 6, 8, 8]);
  });
});
