import { Philox } from '@unif2ace/graph';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { areaUnderRoc, balancedAccuracy, calibrationError, plattScaling } from './ranking.ts';

test('the area under the ROC curve is the share of pairs in the right order', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 6 }), fc.boolean()), { minLength: 2, maxLength: 30 }), (rows) => {
      const [yes, no] = [rows.filter(([, positive]) => positive), rows.filter(([, positive]) => !positive)];
      const pairs = yes.flatMap(([a]) => no.map(([b]) => (a > b ? 1 : a === b ? 0.5 : 0)));
      const area = areaUnderRoc(
        rows.map(([score]) => score),
        rows.map(([, positive]) => positive),
      );
      if (pairs.length === 0) expect(area).toBeNaN();
      else expect(area).toBeCloseTo(pairs.reduce((a: number, b) => a + b, 0) / pairs.length, 12);
    }),
  );
});

test('Platt finds the logistic law that drew the answers', () => {
  const random = new Philox(3);
  const logits = Array.from({ length: 20_000 }, () => 4 * random.normal());
  const positives = logits.map((x) => random.uniform() < 1 / (1 + Math.exp(-(0.5 * x - 1))));
  const { slope, offset } = plattScaling(logits, positives);
  expect(slope).toBeCloseTo(0.5, 1);
  expect(offset).toBeCloseTo(-1, 1);
  const calibrated = logits.map((x) => 1 / (1 + Math.exp(-(slope * x + offset))));
  const raw = logits.map((x) => 1 / (1 + Math.exp(-x)));
  expect(calibrationError(calibrated, positives)).toBeLessThan(0.01);
  expect(calibrationError(raw, positives)).toBeGreaterThan(0.05);
});

test('certain and right has no calibration error, certain and wrong has the largest', () => {
  expect(calibrationError([0, 1, 1], [false, true, true])).toBe(0);
  expect(calibrationError([1, 0], [false, true])).toBe(1);
});

test('balanced accuracy counts each side by itself', () => {
  const scores = [0.5, 0.4, 0.9, 0.1, 0.2];
  const positives = [true, true, false, false, false];
  expect(balancedAccuracy(scores, positives, 0.5)).toBeCloseTo((1 / 2 + 2 / 3) / 2, 12);
  expect(balancedAccuracy(scores, positives, 0.4)).toBeCloseTo((1 + 2 / 3) / 2, 12);
  expect(balancedAccuracy([0.5], [true], 0.5)).toBeNaN();
});
