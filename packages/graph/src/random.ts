const multiplier0 = 0xd2511f53;
const multiplier1 = 0xcd9e8d57;
const weyl0 = 0x9e3779b9;
const weyl1 = 0xbb67ae85;
const rounds = 10;

/** Philox4x32-10 (Salmon et al. 2011): four 32-bit words from a 128-bit counter and a 64-bit key. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < rounds; round++) {
    const [high0, low0] = multiply32(multiplier0, c0);
    const [high1, low1] = multiply32(multiplier1, c2);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + weyl0) >>> 0;
    k1 = (k1 + weyl1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** High and low word of the product of two 32-bit words. */
function multiply32(a: number, b: number): [number, number] {
  const low = Math.imul(a, b) >>> 0;
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const middle = aLow * bHigh + ((aLow * bLow) >>> 16);
  const cross = aHigh * bLow + (middle & 0xffff);
  const high = aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(cross / 65536);
  return [high >>> 0, low];
}

export interface PhiloxState {
  block: number;
  used: number;
  spareNormal: number | null;
}

/**
 * Counter-based random numbers: the same seed and stream give the same numbers on every platform, whatever was drawn
 * elsewhere. Up to three stream numbers of 32 bits name independent sequences, e.g. (seed, image index).
 */
export class Philox {
  readonly #key: readonly [number, number];
  readonly #stream: readonly [number, number, number];
  #block = 0;
  #words: readonly number[] = [];
  #used = 4;
  #spareNormal: number | null = null;

  /** @throws RangeError for a seed outside 0..2⁶⁴−1 or more than three stream numbers. */
  constructor(seed: number | bigint, ...stream: number[]) {
    if (typeof seed === 'number' && !Number.isSafeInteger(seed)) throw new RangeError(`philox: seed ${seed} is no integer; try 0 to 2^53`);
    const wide = BigInt(seed);
    if (wide < 0n || wide >= 1n << 64n) throw new RangeError(`philox: seed ${seed} is out of range; try 0 to 2^53`);
    if (stream.length > 3) throw new RangeError(`philox: at most three stream numbers, got ${stream.length}`);
    this.#key = [Number(wide & 0xffffffffn), Number(wide >> 32n)];
    this.#stream = [(stream[0] ?? 0) >>> 0, (stream[1] ?? 0) >>> 0, (stream[2] ?? 0) >>> 0];
  }

  /** Next 32 random bits. */
  uint32(): number {
    if (this.#used === 4) {
      this.#words = philox4x32([this.#block >>> 0, ...this.#stream], this.#key);
      this.#block++;
      this.#used = 0;
    }
    return this.#words[this.#used++]!;
  }

  /** Uniform in [0, 1) with 53 random bits. */
  uniform(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** Uniform in (0, 1): safe under a logarithm. */
  openUniform(): number {
    let u = this.uniform();
    while (u === 0) u = this.uniform();
    return u;
  }

  /** Standard normal (Box–Muller). */
  normal(): number {
    if (this.#spareNormal !== null) {
      const spare = this.#spareNormal;
      this.#spareNormal = null;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log(this.openUniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spareNormal = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** Standard Gumbel, in Float64. */
  gumbel(): number {
    return -Math.log(-Math.log(this.openUniform()));
  }

  /** Unbiased integer in 0..n−1. @throws RangeError unless 1 ≤ n ≤ 2³². */
  int(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) throw new RangeError(`philox: int needs 1 to 2^32, got ${n}`);
    const limit = 2 ** 32 - (2 ** 32 % n);
    let word = this.uint32();
    while (word >= limit) word = this.uint32();
    return word % n;
  }

  /** Shuffles in place (Fisher–Yates) and returns the same array. */
  shuffle<T extends { length: number; [index: number]: unknown }>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      [items[i], items[j]] = [items[j], items[i]];
    }
    return items;
  }

  /** Random order of 0..n−1. */
  permutation(n: number): Int32Array {
    return this.shuffle(Int32Array.from({ length: n }, (_, i) => i));
  }

  /** Index drawn in proportion to non-negative weights. @throws RangeError when they do not sum to a positive number. */
  categorical(weights: ArrayLike<number>): number {
    let total = 0;
    for (let i = 0; i < weights.length; i++) total += weights[i]!;
    if (!(total > 0) || !Number.isFinite(total)) throw new RangeError(`philox: weights sum to ${total}`);
    let left = this.uniform() * total;
    let last = 0;
    for (let i = 0; i < weights.length; i++) {
      if (weights[i] === 0) continue;
      last = i;
      left -= weights[i]!;
      if (left < 0) return i;
    }
    return last;
  }

  /** Position in the sequence, to continue from in another process. */
  state(): PhiloxState {
    return { block: this.#block, used: this.#used, spareNormal: this.#spareNormal };
  }

  restore(state: PhiloxState): this {
    this.#block = state.used === 4 ? state.block : state.block - 1;
    this.#used = 4;
    if (state.used < 4) {
      this.uint32();
      this.#used = state.used;
    }
    this.#spareNormal = state.spareNormal;
    return this;
  }
}

/** Two stream numbers from a name (64-bit FNV-1a). */
export function streamFromName(name: string): [number, number] {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(name)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return [Number(hash & 0xffffffffn), Number(hash >> 32n)];
}
