import { expect, test } from 'vitest';
import { krippendorffAlpha } from './agreement.ts';
import { exportRatings, questionsCsv, ratingsCsv } from './export-ratings.ts';
import { exampleRating } from './test/review-fixture.ts';

const options = { seed: 1, types: ['hat', 'beard', 'smile'], resamples: 300 };
const ratings = [
  exampleRating('a', 'x', { accuracy: 5 }),
  exampleRating('b', 'x', { accuracy: 4, missing: ['hat'] }),
  exampleRating('a', 'y', { accuracy: 1, hallucination: true, wrongSentences: [1], missing: ['hat', 'beard'] }),
  exampleRating('b', 'y', { accuracy: 2, hallucination: true, wrongSentences: [0, 1], missing: ['hat'] }),
  exampleRating('a', 'z', { accuracy: 3, comment: '=HYPERLINK("x"), or so' }),
];

test('means per item', () => {
  const { items, raters } = exportRatings(ratings, options);
  expect(raters).toEqual(['a', 'b']);
  expect(items[1]).toEqual({
    item: 'y',
    caption: 'Caption of y.',
    raters: 2,
    accuracyMean: 1.5,
    hallucinationShare: 1,
    sentencesMarked: { 0: 1, 1: 2 },
    missingMean: 1.5,
    missing: { hat: 2, beard: 1 },
  });
});

test('agreement per question is α of its values; resampling is seeded', () => {
  const { questions } = exportRatings(ratings, options);
  const [accuracy, hallucination, missing] = questions;
  const values = [[5, 4], [1, 2], [3]];
  expect(accuracy!.agreement.map(({ scale, alpha }) => [scale, alpha])).toEqual([
    ['ordinal', krippendorffAlpha(values, 'ordinal')],
    ['interval', krippendorffAlpha(values, 'interval')],
  ]);
  expect(accuracy!.mean).toBeCloseTo((4.5 + 1.5 + 3) / 3, 12);
  expect(hallucination!.agreement[0]!.alpha).toBe(1);
  const chosen = [
    [0, 1],
    [0, 0],
    [0, 0],
    [1, 1],
    [1, 0],
    [0, 0],
  ];
  expect(missing!.agreement[0]!.alpha).toBeCloseTo(krippendorffAlpha(chosen, 'nominal')!, 12);
  const { low, high } = accuracy!.interval!;
  expect(low).toBeLessThan(accuracy!.mean!);
  expect(high).toBeGreaterThan(accuracy!.mean!);
  expect(exportRatings(ratings, options).questions).toEqual(questions);
});

test('without ratings nothing is made up', () => {
  const { questions, items } = exportRatings([], options);
  expect(items).toEqual([]);
  for (const { mean, interval, agreement } of questions) {
    expect([mean, interval]).toEqual([null, null]);
    for (const entry of agreement) expect(entry).toMatchObject({ alpha: null, interval: null });
  }
});

test('CSV is quoted and runs no formula', () => {
  const data = exportRatings(ratings, options);
  const lines = ratingsCsv(data).trimEnd().split('\r\n');
  expect(lines).toHaveLength(6);
  expect(lines[0]).toMatch(/^item,rater,accuracy,hallucination,/);
  expect(lines[5]).toContain(`"'=HYPERLINK(""x""), or so"`);
  expect(lines[4]).toContain('y,b,2,yes,0 1,hat,');
  expect(questionsCsv(data).trimEnd().split('\r\n')).toHaveLength(5);
});

test('500 items by 3 raters take seconds, not minutes', () => {
  const many = Array.from({ length: 1500 }, (_, i) =>
    exampleRating(`${i % 3}`, `${Math.floor(i / 3)}`, { accuracy: 1 + ((i * 7) % 5), missing: i % 2 ? ['hat'] : [] }),
  );
  const startMs = performance.now();
  exportRatings(many, { seed: 1, types: Array.from({ length: 54 }, (_, i) => (i ? `type ${i}` : 'hat')) });
  expect(performance.now() - startMs).toBeLessThan(30_000);
});
