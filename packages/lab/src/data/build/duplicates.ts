// Difference hash of an aligned face: which of two neighbours on a 17×16 grid is brighter, 256 bits in 64 hex digits.

export const hashBits = 256;
/** Hashes that differ in at most this many bits count as one picture, recompressed or scaled. */
export const nearBits = 20;

const gridWidth = 17;
const gridHeight = 16;

/** @param luma brightness of a 17×16 grid, row by row. */
export function differenceHash(luma: ArrayLike<number>): string {
  let hex = '';
  for (let y = 0; y < gridHeight; y++)
    for (let x = 0; x < gridWidth - 1; x += 4) {
      let digit = 0;
      for (let bit = 0; bit < 4; bit++) {
        const at = y * gridWidth + x + bit;
        digit = 2 * digit + Number(luma[at + 1]! > luma[at]!);
      }
      hex += digit.toString(16);
    }
  return hex;
}

const onesOfDigit = Array.from({ length: 16 }, (_, digit) => digit.toString(2).replaceAll('0', '').length);

export function hammingDistance(a: string, b: string): number {
  let distance = 0;
  for (let i = 0; i < a.length; i++) distance += onesOfDigit[Number.parseInt(a[i]!, 16) ^ Number.parseInt(b[i]!, 16)]!;
  return distance;
}

/**
 * Finds earlier hashes within `nearBits`. Of `nearBits` + 1 slices of a hash, one at least is untouched when no more bits
 * differ: those that share a slice at its place are compared in full.
 */
export class NearDuplicates<T> {
  readonly #slices: readonly (readonly [number, number])[];
  readonly #index = new Map<string, { hash: string; value: T }[]>();
  readonly #maxBits: number;

  constructor(maxBits = nearBits) {
    const digits = hashBits / 4;
    const count = Math.min(maxBits + 1, digits);
    this.#maxBits = maxBits;
    this.#slices = Array.from({ length: count }, (_, i) => [
      Math.floor((i * digits) / count),
      Math.floor(((i + 1) * digits) / count),
    ]);
  }

  #keys(hash: string): string[] {
    return this.#slices.map(([start, end], i) => `${i}:${hash.slice(start, end)}`);
  }

  /** The first one added among those near `hash`, if any. */
  find(hash: string): T | undefined {
    for (const key of this.#keys(hash))
      for (const candidate of this.#index.get(key) ?? [])
        if (hammingDistance(candidate.hash, hash) <= this.#maxBits) return candidate.value;
    return undefined;
  }

  add(hash: string, value: T): void {
    for (const key of this.#keys(hash)) {
      const bucket = this.#index.get(key);
      if (bucket) bucket.push({ hash, value });
      else this.#index.set(key, [{ hash, value }]);
    }
  }
}
