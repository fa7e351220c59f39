import { initialize, type ParameterSpec } from '../params.ts';
import { Philox } from '../random.ts';
import { float32, type TensorValues } from './session.ts';

const alignElements = 16;

/**
 * Training state in four flat arrays (parameters, gradients, AdamW's two moments), so that clipping, reduction over
 * ranks and the optimiser are loops over one array. Every parameter is a view at a 64-byte boundary.
 */
export class FlatState {
  readonly specs: readonly ParameterSpec[];
  readonly params: Float32Array;
  readonly grads: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
  readonly #ranges = new Map<string, { start: number; end: number }>();

  /** @throws Error on two parameters of one name. */
  constructor(specs: readonly ParameterSpec[]) {
    this.specs = specs;
    let size = 0;
    for (const spec of specs) {
      const count = spec.shape.reduce((a, b) => a * b, 1);
      if (this.#ranges.has(spec.name)) throw new Error(`flatState: two parameters are named ${spec.name}`);
      this.#ranges.set(spec.name, { start: size, end: size + count });
      size = Math.ceil((size + count) / alignElements) * alignElements;
    }
    this.params = new Float32Array(size);
    this.grads = new Float32Array(size);
    this.m = new Float32Array(size);
    this.v = new Float32Array(size);
  }

  /** Starting values by each parameter's own rule, from the seed and its name. */
  initialize(seed: number): this {
    for (const spec of this.specs) initialize(spec, this.param(spec.name), (...stream) => new Philox(seed, ...stream));
    return this;
  }

  /** Elements [start, end) of a parameter in the flat arrays. @throws Error on an unknown name. */
  range(name: string): { start: number; end: number } {
    const range = this.#ranges.get(name);
    if (!range) throw new Error(`flatState: no parameter ${name}`);
    return range;
  }

  #view(array: Float32Array, name: string): Float32Array {
    const { start, end } = this.range(name);
    return array.subarray(start, end);
  }

  param(name: string): Float32Array {
    return this.#view(this.params, name);
  }

  grad(name: string): Float32Array {
    return this.#view(this.grads, name);
  }

  /** All parameters as feeds, under their names. */
  feeds(): TensorValues {
    return Object.fromEntries(this.specs.map(({ name, shape }) => [name, float32(this.param(name), shape)]));
  }

  /** All gradients as buffers to be filled, under `prefix` + name. */
  fetches(prefix: string): TensorValues {
    return Object.fromEntries(this.specs.map(({ name, shape }) => [prefix + name, float32(this.grad(name), shape)]));
  }

  get parameterCount(): number {
    return this.specs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  }
}
