const multiplier0 = 0xd2511f53;
const multiplier1 = 0xcd9e8d57;
const weyl0 = 0x9e3779b9;
const weyl1 = 0xbb67ae85;
const rounds = 10;
/** Last block of a sequence, so that a fork's key is never among numbers drawn in practice. */
const forkTag = 0xffffffff;

/** Philox4x32-10 (Salmon et al. 2011): four 32-bit words from a 128-bit counter and a 64-bit key. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(multiplier0, c0);
    const high1 = multiplyHigh(multiplier1, c2);
    const low0 = Math.imul(multiplier0, c0);
    const low1 = Math.imul(multiplier1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + weyl0) | 0;
    k1 = (k1 + weyl1) | 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/** High word of the product of two 32-bit words; each partial product stays below 2³³, exact in a double. */
function multiplyHigh(a: number, b: number): number {
  const [aHigh, aLow] = [a >>> 16, a & 0xffff];
  const [bHigh, bLow] = [b >>> 16, b & 0xffff];
  const middle = aLow * bHigh + (Math.imul(aLow, bLow) >>> 16);
  const cross = aHigh * bLow + (middle & 0xffff);
  return (Math.imul(aHigh, bHigh) + Math.floor(middle / 65536) + ((cross / 65536) | 0)) | 0;
}

/** Position in a sequence; plain numbers, so that it can be stored as JSON. */
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
    if (typeof seed === 'number' && !Number.isSafeInteger(seed))
      throw new RangeError(`philox: seed ${seed} is not a safe integer; try 0 to 2^53 − 1, or a bigint`);
    const wide = BigInt(seed);
    if (wide < 0n || wide >= 1n << 64n) throw new RangeError(`philox: seed ${seed} is out of range; try 0 to 2^64 − 1`);
    if (stream.length > 3) throw new RangeError(`philox: at most three stream numbers, got ${stream.length}`);
    this.#key = [Number(wide & 0xffffffffn), Number(wide >> 32n)];
    this.#stream = [(stream[0] ?? 0) >>> 0, (stream[1] ?? 0) >>> 0, (stream[2] ?? 0) >>> 0];
  }

  /**
   * Child sequence named by up to three stream numbers. It depends on this sequence's name alone, not on how much was
   * drawn from it, and two children differ whenever their names differ.
   *
   * @throws RangeError for more than three stream numbers.
   */
  fork(...stream: number[]): Philox {
    if (stream.length > 3) throw new RangeError(`philox: at most three stream numbers, got ${stream.length}`);
    const [a, b] = philox4x32([forkTag, ...this.#stream], this.#key);
    const [low, high] = philox4x32([stream[0] ?? 0, stream[1] ?? 0, stream[2] ?? 0, stream.length], [a, b]);
    return new Philox((BigInt(high) << 32n) | BigInt(low));
  }

  /** Next 32 random bits; a sequence has 2³⁴ of them. */
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

  /**
   * Index drawn in proportion to weights ≥ 0, in Float64.
   *
   * @throws RangeError for a negative weight or when the sum is not a positive finite number.
   */
  categorical(weights: ArrayLike<number>): number {
    let total = 0;
    for (let i = 0; i < weights.length; i++) {
      if (weights[i]! < 0) throw new RangeError(`philox: weight ${i} is ${weights[i]}, expected at least 0`);
      total += weights[i]!;
    }
    if (!(total > 0) || !Number.isFinite(total))
      throw new RangeError(`philox: weights sum to ${total}, expected a positive finite number`);
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

  /** Continues from a stored position of the same seed and stream. */
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

/** Two stream numbers from a name (64-bit FNV-1a of its UTF-8 bytes), e.g. to initialise a parameter by its name. */
export function streamFromName(name: string): [number, number] {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(name)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return [Number(hash & 0xffffffffn), Number(hash >> 32n)];
}
