import { float32, type TensorValues } from '@unif2ace/graph';

/** Keys and values of one sequence, [1, H, capacity, d] a layer, filled from the front. */
export class KeyValueCache {
  readonly #layers: number;
  readonly #heads: number;
  readonly #width: number;
  readonly #capacity: number;
  readonly #data: Record<string, Float32Array> = {};
  #length = 0;

  constructor(layers: number, heads: number, width: number, capacity: number) {
    this.#layers = layers;
    this.#heads = heads;
    this.#width = width;
    this.#capacity = capacity;
    for (let layer = 0; layer < layers; layer++)
      for (const kind of ['key', 'value']) this.#data[kind + layer] = new Float32Array(heads * capacity * width);
  }

  /** Positions filled. */
  get length(): number {
    return this.#length;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Appends the first `count` of the new positions in `present` (key0, value0, …). @throws RangeError when full. */
  append(present: TensorValues, count: number): void {
    if (this.#length + count > this.#capacity)
      throw new RangeError(
        `keyValueCache: ${this.#length} + ${count} positions exceed the capacity of ${this.#capacity}`,
      );
    for (const [name, target] of Object.entries(this.#data)) {
      const { data, shape } = present[name]!;
      const given = shape[2]!;
      for (let head = 0; head < this.#heads; head++) {
        const from = head * given * this.#width;
        const to = (head * this.#capacity + this.#length) * this.#width;
        target.set((data as Float32Array).subarray(from, from + count * this.#width), to);
      }
    }
    this.#length += count;
  }

  /** Feeds `past.key0`, `past.value0`, …. */
  feeds(): TensorValues {
    const shape = [1, this.#heads, this.#capacity, this.#width];
    return Object.fromEntries(Object.entries(this.#data).map(([name, data]) => [`past.${name}`, float32(data, shape)]));
  }

  /** A copy to continue from twice (one image, several questions). */
  clone(): KeyValueCache {
    const copy = new KeyValueCache(this.#layers, this.#heads, this.#width, this.#capacity);
    for (const [name, data] of Object.entries(this.#data)) copy.#data[name]!.set(data);
    copy.#length = this.#length;
    return copy;
  }
}
