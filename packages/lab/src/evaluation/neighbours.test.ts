import { Philox } from '@unif2ace/graph';
import { expect, test } from 'vitest';
import { nearestRows, nearness } from './neighbours.ts';

function rows(count: number, columns: number, seed: number) {
  const random = new Philox(seed);
  return { data: Float32Array.from({ length: count * columns }, () => random.normal()), rows: count, columns };
}

test('stopping early finds what a full search finds', async () => {
  const [queries, gallery] = [rows(20, 200, 1), rows(50, 200, 2)];
  const found = await nearestRows(queries, gallery);
  for (const [q, { index, distance }] of found.entries()) {
    const distances = Array.from({ length: 50 }, (_, n) =>
      Math.hypot(...Array.from({ length: 200 }, (_, k) => queries.data[q * 200 + k]! - gallery.data[n * 200 + k]!)),
    );
    expect(index).toBe(distances.indexOf(Math.min(...distances)));
    expect(distance).toBeCloseTo(Math.min(...distances), 4);
  }
  await expect(nearestRows(rows(1, 3, 1), gallery)).rejects.toThrow(/1×3 and 50×200/);
});

test('copies stand out, new faces do not', () => {
  const random = new Philox(5);
  const distances = (count: number) => Array.from({ length: count }, () => 10 + random.normal());
  const test = distances(1000);
  const fresh = nearness(distances(1000), test);
  expect(fresh.interval.low).toBeLessThan(0.01);
  expect(fresh.interval.high).toBeGreaterThan(0.01);
  const copied = nearness([...distances(900), ...new Array<number>(100).fill(0.5)], test);
  expect(copied.interval.low).toBeGreaterThan(0.05);
  expect(copied.nearerThanAll).toBeCloseTo(0.1, 1);
});
