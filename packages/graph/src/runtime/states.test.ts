import { afterAll, describe, expect, test } from 'vitest';
import { buildModel } from '../onnx/lower.ts';
import { add } from '../ops/elementwise.ts';
import { concat } from '../ops/layout.ts';
import { reduceSum } from '../ops/reduce.ts';
import { input } from '../tensor.ts';
import { directRuntime } from './node-direct.ts';
import { workerRuntime } from './node-worker.ts';
import { float32, type Runtime, type TensorValue } from './session.ts';

// R rows, H heads, L new positions, C room, d head width

const [heads, room, width] = [2, 5, 3];

/** New positions are x + 1; y is the sum over old and new positions. */
function model(rows: number, length: number) {
  const x = input('x', [rows, heads, length, width]);
  const past = input('past.k', [rows, heads, room, width]);
  const k = add(x, 1);
  return buildModel({ k, y: reduceSum(concat([past, k], 2), 2) });
}

const ramp = (rows: number, length: number, from: number): TensorValue => {
  const shape = [rows, heads, length, width];
  return float32(
    Float32Array.from({ length: rows * heads * length * width }, (_, i) => from + i),
    shape,
  );
};

const direct = directRuntime({ intraOpThreads: 1 });
const worker = workerRuntime({ intraOpThreads: 1 });
afterAll(() => worker.close());

describe.each([
  ['in this thread', direct],
  ['in a worker', worker],
] as [string, Runtime][])('states %s', (_, runtime) => {
  const states = runtime.states!;
  const fresh = () => states.create({ k: [heads, room, width] });
  const at = (t: TensorValue, row: number, head: number, position: number) =>
    Array.from(
      { length: width },
      (_, i) => t.data[((row * heads + head) * t.shape[2]! + position) * width + i] as number,
    );

  test('rows write where they are told and read what they wrote, alone and together', async () => {
    const [one, two] = [await runtime.createSession(model(1, 2)), await runtime.createSession(model(2, 2))];
    const [a, b] = [fresh(), fresh()];
    const x = ramp(1, 2, 10);
    await states.run(one, {
      feeds: { x },
      rows: [a],
      writes: [{ state: a, row: 0, at: 1, count: 1 }],
      fetches: [],
    });
    const together = ramp(2, 2, 50);
    const run = (rows: number[]) =>
      states.run(two, {
        feeds: { x: together },
        rows,
        writes: [{ state: b, row: rows.indexOf(b), at: 3, count: 2 }],
        fetches: ['y'],
      });
    const sums = (y: TensorValue, row: number, head: number) =>
      Array.from({ length: width }, (_, i) => y.data[(row * heads + head) * width + i] as number);
    const added = (row: number, head: number) =>
      [0, 1]
        .map((position) => at(together, row, head, position).map((v) => v + 1))
        .reduce((p, q) => p.map((v, i) => v + q[i]!));
    const first = await run([a, b]);
    for (const head of [0, 1]) {
      const kept = at(x, 0, head, 0).map((v) => v + 1);
      expect(sums(first.y!, 0, head)).toEqual(added(0, head).map((v, i) => v + kept[i]!));
      expect(sums(first.y!, 1, head)).toEqual(added(1, head));
    }
    expect(Object.keys(first)).toEqual(['y']);
    // what was written is seen by the same rows again, and by others in another order
    const again = await run([a, b]);
    const turned = await run([b, a]);
    for (const head of [0, 1]) {
      const own = added(1, head);
      expect(sums(again.y!, 1, head)).toEqual(own.map((v) => 2 * v));
      expect(sums(turned.y!, 0, head)).toEqual(added(0, head).map((v, i) => v + own[i]!));
    }
  });

  test('a clone goes on alone; what was freed or has no room is refused', async () => {
    const session = await runtime.createSession(model(1, 1));
    const a = fresh();
    const x = ramp(1, 1, 0);
    const write = (state: number, position: number) =>
      states.run(session, {
        feeds: { x },
        rows: [state],
        writes: [{ state, row: 0, at: position, count: 1 }],
        fetches: ['y'],
      });
    const empty = await write(a, 0);
    const copy = states.clone(a);
    const before = await write(a, 1);
    expect(before.y).not.toEqual(empty.y);
    expect((await write(copy, 1)).y).toEqual(before.y);
    await expect(write(a, room)).rejects.toThrow(/states: 5 \+ 1 positions of k exceed the room of 5/);
    states.free(a);
    await expect(write(a, 2)).rejects.toThrow(/states: state \d+ was freed/);
    expect((await write(copy, 2)).y).not.toEqual(before.y);
  });
});
