import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FaceError } from './detector.ts';
import { applySimilarity, fitSimilarity } from './similarity.ts';

const coordinate = fc.double({ min: -500, max: 500, noNaN: true });
const point = fc.record({ x: coordinate, y: coordinate });
const similarity = fc
  .record({
    scale: fc.double({ min: 0.05, max: 20, noNaN: true }),
    turn: fc.double({ min: -Math.PI, max: Math.PI, noNaN: true }),
    shift: point,
  })
  .map(({ scale, turn, shift }) => ({ a: scale * Math.cos(turn), b: scale * Math.sin(turn), ...shift }));

describe('fitSimilarity', () => {
  it('recovers any turn, scale and shift exactly', () => {
    fc.assert(
      fc.property(similarity, fc.array(point, { minLength: 2, maxLength: 8 }), (made, points) => {
        const spread = Math.max(...points.map(({ x, y }) => Math.hypot(x - points[0]!.x, y - points[0]!.y)));
        fc.pre(spread > 1);
        const fitted = fitSimilarity(
          points,
          points.map((each) => applySimilarity(made, each)),
        );
        for (const key of ['a', 'b'] as const) expect(fitted[key]).toBeCloseTo(made[key], 6);
        for (const each of points) {
          const [got, want] = [applySimilarity(fitted, each), applySimilarity(made, each)];
          expect(Math.hypot(got.x - want.x, got.y - want.y)).toBeLessThan(1e-6);
        }
      }),
    );
  });

  it('has the least squared error: no small change lowers it', () => {
    const from = [
      { x: 0, y: 0 },
      { x: 10, y: 1 },
      { x: 4, y: 9 },
    ];
    const to = [
      { x: 3, y: 2 },
      { x: 20, y: 9 },
      { x: 2, y: 18 },
    ];
    const fitted = fitSimilarity(from, to);
    const error = (candidate: typeof fitted) =>
      from.reduce((sum, each, i) => {
        const { x, y } = applySimilarity(candidate, each);
        return sum + (x - to[i]!.x) ** 2 + (y - to[i]!.y) ** 2;
      }, 0);
    for (const key of ['a', 'b', 'x', 'y'] as const)
      for (const step of [-0.01, 0.01])
        expect(error({ ...fitted, [key]: fitted[key] + step })).toBeGreaterThan(error(fitted));
  });

  it('never mirrors: mirrored points stay apart', () => {
    const from = [
      { x: 0, y: 0 },
      { x: 4, y: 0 },
      { x: 0, y: 2 },
    ];
    const to = from.map(({ x, y }) => ({ x: -x, y }));
    const fitted = fitSimilarity(from, to);
    const distances = from.map((each, i) => {
      const { x, y } = applySimilarity(fitted, each);
      return Math.hypot(x - to[i]!.x, y - to[i]!.y);
    });
    expect(Math.max(...distances)).toBeGreaterThan(1);
  });

  it.each([
    ['coinciding points', [1, 1, 1, 1]],
    ['a point that is no number', [1, Number.NaN, 2, 2]],
  ])('refuses %s', (_name, [x, y, u, v]) => {
    const points = [
      { x: x!, y: y! },
      { x: u!, y: v! },
    ];
    expect(() => fitSimilarity(points, [points[0]!, { x: 9, y: 9 }])).toThrow(FaceError);
  });
});
