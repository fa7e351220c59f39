import { expect, test } from 'vitest';
import { FaceOrder } from './face-order.ts';

const faces = [3, 5, 7, 11, 13, 17, 19];

test('every round holds every face once, in an order of its own', () => {
  const order = new FaceOrder(faces, 1, 2);
  const rounds = [0, 1, 2].map((round) => order.slice(7 * round, 7));
  for (const round of rounds) expect(round.toSorted((a, b) => a - b)).toEqual(faces);
  expect(new Set(rounds.map(String)).size).toBe(3);
});

test('a place has the same face wherever one begins', () => {
  const whole = new FaceOrder(faces, 1, 2).slice(0, 40);
  expect(new FaceOrder(faces, 1, 2).slice(23, 17)).toEqual(whole.slice(23));
  expect(new FaceOrder(faces, 1, 3).slice(0, 40)).not.toEqual(whole);
  expect(new FaceOrder(faces, 2, 2).slice(0, 40)).not.toEqual(whole);
});

test('no faces, no order', () => {
  expect(() => new FaceOrder([], 1, 2)).toThrow('faceOrder: expected at least one face, got none');
});
