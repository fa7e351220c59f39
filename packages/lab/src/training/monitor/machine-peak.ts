import { buildModel, float32, input, matmul, Philox, type Runtime, reduceSum } from '@unif2ace/graph';

const size = 1536;
const repetitions = 6;

/**
 * Floating-point operations a second that this machine reaches now, on this runtime: the best of a few products of two
 * 1,536 × 1,536 float32 matrices, about half a second in all.
 */
export async function measurePeakFlops(runtime: Runtime): Promise<number> {
  // the sum keeps the product inside of the engine: copying it out would be counted
  const model = buildModel({ sum: reduceSum(matmul(input('a', [size, size]), input('b', [size, size]))) });
  const session = await runtime.createSession(model);
  const random = new Philox(0);
  const row = Float32Array.from({ length: size }, () => random.uniform());
  const matrix = new Float32Array(size * size);
  for (let i = 0; i < size; i++) matrix.set(row, i * size);
  const feeds = { a: float32(matrix, [size, size]), b: float32(matrix, [size, size]) };
  let bestMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i <= repetitions; i++) {
    const startMs = performance.now();
    await session.run(feeds);
    // the first run sets up
    if (i > 0) bestMs = Math.min(bestMs, performance.now() - startMs);
  }
  await session.release();
  return (1000 * model.flops!) / bestMs;
}
