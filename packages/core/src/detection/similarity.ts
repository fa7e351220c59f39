import { FaceError, type Point } from './detector.ts';

/** Turn, scale and shift: (u, v) → (a·u − b·v + x, b·u + a·v + y); a = s·cos φ, b = s·sin φ. */
export interface Similarity {
  readonly a: number;
  readonly b: number;
  readonly x: number;
  readonly y: number;
}

export function applySimilarity({ a, b, x, y }: Similarity, point: Point): Point {
  return { x: a * point.x - b * point.y + x, y: b * point.x + a * point.y + y };
}

/**
 * The similarity that takes `from` to `to` with the least squared error: Umeyama's (1991) in closed form, since in the
 * plane a turn and a scale are one complex factor. It never mirrors.
 * @throws FaceError when fewer than two points differ, or one is not finite.
 */
export function fitSimilarity(from: readonly Point[], to: readonly Point[]): Similarity {
  const count = Math.min(from.length, to.length);
  const mean = (points: readonly Point[]) => ({
    x: points.slice(0, count).reduce((sum, point) => sum + point.x, 0) / count,
    y: points.slice(0, count).reduce((sum, point) => sum + point.y, 0) / count,
  });
  const [p, q] = [mean(from), mean(to)];
  let [real, imaginary, spread] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const [px, py] = [from[i]!.x - p.x, from[i]!.y - p.y];
    const [qx, qy] = [to[i]!.x - q.x, to[i]!.y - q.y];
    real += px * qx + py * qy;
    imaginary += px * qy - py * qx;
    spread += px * px + py * py;
  }
  const [a, b] = [real / spread, imaginary / spread];
  if (!Number.isFinite(a) || !Number.isFinite(b) || a * a + b * b < 1e-12)
    throw new FaceError(
      'landmarks',
      'points that lie apart',
      JSON.stringify(from.map(({ x, y }) => [x, y])),
      'another photo of the face',
    );
  return { a, b, x: q.x - (a * p.x - b * p.y), y: q.y - (b * p.x + a * p.y) };
}
