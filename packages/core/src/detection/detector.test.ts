import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FaceError, intersectionOverUnion, largestFirst, suppressOverlaps } from './detector.ts';

const scored = fc.record({
  box: fc.record({
    x: fc.integer({ min: -20, max: 100 }),
    y: fc.integer({ min: -20, max: 100 }),
    width: fc.integer({ min: 1, max: 60 }),
    height: fc.integer({ min: 1, max: 60 }),
  }),
  score: fc.double({ min: 0, max: 1, noNaN: true }),
});

describe('intersectionOverUnion', () => {
  it('is what the areas say', () => {
    const box = { x: 0, y: 0, width: 4, height: 2 };
    expect(intersectionOverUnion(box, box)).toBe(1);
    expect(intersectionOverUnion(box, { ...box, x: 2 })).toBeCloseTo(4 / 12);
    expect(intersectionOverUnion(box, { ...box, x: 4 })).toBe(0);
    expect(intersectionOverUnion({ ...box, width: 0 }, { ...box, width: 0 })).toBe(0);
  });

  it('is symmetric and within 0 to 1', () => {
    fc.assert(
      fc.property(scored, scored, (a, b) => {
        const overlap = intersectionOverUnion(a.box, b.box);
        expect(overlap).toBe(intersectionOverUnion(b.box, a.box));
        expect(overlap).toBeGreaterThanOrEqual(0);
        expect(overlap).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('suppressOverlaps', () => {
  it('keeps a set without overlaps that covers every candidate by one at least as sure', () => {
    fc.assert(
      fc.property(
        fc.array(scored, { maxLength: 30 }),
        fc.double({ min: 0.05, max: 0.95, noNaN: true }),
        (candidates, limit) => {
          const kept = suppressOverlaps(candidates, limit);
          for (const [i, a] of kept.entries())
            for (const b of kept.slice(i + 1)) expect(intersectionOverUnion(a.box, b.box)).toBeLessThanOrEqual(limit);
          for (const candidate of candidates)
            expect(
              kept.some(
                (face) =>
                  face === candidate ||
                  (face.score >= candidate.score && intersectionOverUnion(face.box, candidate.box) > limit),
              ),
            ).toBe(true);
          expect(suppressOverlaps(kept, limit)).toEqual(kept);
        },
      ),
    );
  });
});

describe('largestFirst', () => {
  it('orders by area and leaves its argument alone', () => {
    const sizes = [3, 1, 2].map((width) => ({ box: { x: 0, y: 0, width, height: 5 } }));
    expect(largestFirst(sizes).map(({ box }) => box.width)).toEqual([3, 2, 1]);
    expect(sizes[1]!.box.width).toBe(1);
  });
});

describe('FaceError', () => {
  it('is one line', () => {
    expect(new FaceError('a\nb.jpg', 'a face', 'none', 'another').message).toBe(
      'a b.jpg: expected a face, got none; try another',
    );
  });
});
