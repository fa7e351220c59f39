import { Philox } from '@unif2ace/graph';
import { expect, test } from 'vitest';
import { Assignment, type AssignmentOptions } from './assignment.ts';

function assignment(changes: Partial<AssignmentOptions> = {}): Assignment {
  const itemAt = async (index: number) => `item ${index}`;
  const defaults = { count: 10, ratersPerItem: 2, itemsPerRater: 100, seed: 1, itemAt, nowMs: () => 0, holdMs: 1000 };
  return new Assignment({ ...defaults, ...changes });
}

async function rateOne(among: Assignment, rater: string): Promise<string | undefined> {
  const next = await among.next(rater);
  if ('done' in next) return undefined;
  among.rated(rater, next.item);
  return next.item;
}

async function rateAll(among: Assignment, rater: string): Promise<string[]> {
  const items: string[] = [];
  for (let item = await rateOne(among, rater); item !== undefined; item = await rateOne(among, rater)) items.push(item);
  return items;
}

test('raters see one seeded order, each item once', async () => {
  const first = assignment();
  const order = await rateAll(first, 'a');
  expect(new Set(order).size).toBe(10);
  expect(await rateAll(first, 'b')).toEqual(order);
  expect(await rateAll(assignment(), 'a')).toEqual(order);
  expect(await rateAll(assignment({ seed: 2 }), 'a')).not.toEqual(order);
  expect(await first.next('c')).toEqual({ done: 'all-rated' });
});

test('a rater begins a new item only after all that are begun and lack raters, whoever comes when', async () => {
  const among = assignment({ count: 30, ratersPerItem: 3 });
  const ratersOf = new Map<string, string[]>();
  const random = new Philox(5);
  for (let i = 0; i < 60; i++) {
    const rater = 'abcd'[random.int(4)]!;
    const item = (await rateOne(among, rater))!;
    const lacking = [...ratersOf.values()].filter((raters) => raters.length < 3);
    if (!ratersOf.has(item)) for (const raters of lacking) expect(raters).toContain(rater);
    ratersOf.set(item, [...(ratersOf.get(item) ?? []), rater]);
  }
  for (const raters of ratersOf.values()) expect(new Set(raters).size).toBe(raters.length);
  const { begun, complete } = among.items;
  expect(begun).toBe(ratersOf.size);
  expect(complete).toBeGreaterThan(begun / 2);
});

test('an item on the screens of as many raters as it needs is not given to another', async () => {
  const among = assignment();
  const [a, b, c] = [await among.next('a'), await among.next('b'), await among.next('c')];
  expect(b).toEqual(a);
  expect(c).not.toEqual(a);
  expect(await among.next('a')).toEqual(a);
});

test('what is held too long goes to others, and the late rating still counts', async () => {
  let nowMs = 0;
  const among = assignment({ count: 1, ratersPerItem: 1, nowMs: () => nowMs });
  const held = await among.next('a');
  expect(await among.next('b')).toEqual({ done: 'waiting' });
  nowMs = 1001;
  expect(await among.next('b')).toEqual(held);
  among.rated('b', 'item 0');
  expect(among.shown('a', 'item 0')).toEqual({ index: 0, sinceMs: 0 });
  among.rated('a', 'item 0');
  expect(among.items).toEqual({ begun: 1, complete: 1 });
});

test('a rater stops at their share; records without a text are passed over', async () => {
  const limited = assignment({ itemsPerRater: 4 });
  expect(await rateAll(limited, 'a')).toHaveLength(4);
  expect(await limited.next('a')).toEqual({ done: 'limit' });
  expect(await rateAll(assignment({ itemAt: async (i) => (i % 2 ? null : `item ${i}`) }), 'a')).toHaveLength(5);
});

test('raters at once overlap as one after another', async () => {
  const among = assignment({ count: 8 });
  const items = await Promise.all(['a', 'b', 'c', 'd'].map((rater) => among.next(rater)));
  const names = items.map((next) => ('item' in next ? next.item : ''));
  expect(names[0]).toBe(names[1]);
  expect(names[2]).toBe(names[3]);
  expect(names[0]).not.toBe(names[2]);
});
