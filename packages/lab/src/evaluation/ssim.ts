import type { PixelImage } from '@unif2ace/core';

const windowEdge = 11;
const windowSigma = 1.5;
const [c1, c2] = [(0.01 * 255) ** 2, (0.03 * 255) ** 2];

/**
 * Structural similarity of two pictures of one size, 1 when they are equal (Wang, Bovik, Sheikh & Simoncelli 2004): mean over
 * all Gaussian windows (11 pixels, σ 1.5; smaller pictures: the largest odd window that fits) that lie inside, on luma
 * (ITU-R BT.601), with the moments of the window itself (divisor 1).
 * @throws RangeError for pictures of different size.
 */
export function structuralSimilarity(a: PixelImage, b: PixelImage): number {
  const { width, height } = a;
  if (b.width !== width || b.height !== height)
    throw new RangeError(
      `structuralSimilarity: expected pictures of one size, got ${width}×${height} and ${b.width}×${b.height}`,
    );
  const edge = Math.min(windowEdge, ...[width, height].map((side) => side - 1 + (side % 2)));
  const kernel = gaussian(edge);
  const [x, y] = [luma(a), luma(b)];
  const blurred = (of: (i: number) => number) =>
    filtered(
      Float64Array.from(x, (_, i) => of(i)),
      width,
      height,
      kernel,
    );
  const [mx, my] = [blurred((i) => x[i]!), blurred((i) => y[i]!)];
  const [xx, yy, xy] = [blurred((i) => x[i]! ** 2), blurred((i) => y[i]! ** 2), blurred((i) => x[i]! * y[i]!)];
  let sum = 0;
  for (let i = 0; i < mx.length; i++) {
    const [meanX, meanY] = [mx[i]!, my[i]!];
    const [varX, varY, covariance] = [xx[i]! - meanX ** 2, yy[i]! - meanY ** 2, xy[i]! - meanX * meanY];
    sum += ((2 * meanX * meanY + c1) * (2 * covariance + c2)) / ((meanX ** 2 + meanY ** 2 + c1) * (varX + varY + c2));
  }
  return sum / mx.length;
}

function luma({ data }: PixelImage): Float64Array {
  return Float64Array.from(
    { length: data.length / 3 },
    (_, i) => 0.299 * data[3 * i]! + 0.587 * data[3 * i + 1]! + 0.114 * data[3 * i + 2]!,
  );
}

function gaussian(edge: number): number[] {
  const weights = Array.from({ length: edge }, (_, i) =>
    Math.exp(-((i - (edge - 1) / 2) ** 2) / (2 * windowSigma ** 2)),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/** Separable filter at all places where the whole kernel lies inside. */
function filtered(plane: Float64Array, width: number, height: number, kernel: readonly number[]): Float64Array {
  const edge = kernel.length;
  const [outWidth, outHeight] = [width - edge + 1, height - edge + 1];
  const rows = new Float64Array(outWidth * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < outWidth; x++)
      for (let k = 0; k < edge; k++) rows[y * outWidth + x]! += kernel[k]! * plane[y * width + x + k]!;
  const out = new Float64Array(outWidth * outHeight);
  for (let y = 0; y < outHeight; y++)
    for (let x = 0; x < outWidth; x++)
      for (let k = 0; k < edge; k++) out[y * outWidth + x]! += kernel[k]! * rows[(y + k) * outWidth + x]!;
  return out;
}
