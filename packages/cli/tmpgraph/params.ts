import { type Philox, streamFromName } from './random.ts';
import { sizeOf } from './shape.ts';
import { parameter, type Tensor } from './tensor.ts';

/** How a parameter starts. `fanInUniform` is PyTorch's default for linear and convolution: U(±bound/√fanIn). */
export type Init =
  | { kind: 'zeros' }
  | { kind: 'ones' }
  | { kind: 'constant'; value: number }
  | { kind: 'normal'; std: number }
  | { kind: 'fanInUniform'; fanIn: number; gain?: number };

export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: Init;
}

/**
 * Names parameters by their place ("model.layers.0.mlp.fc1.weight", the original state_dict names) and lists them.
 * The same name asked twice is the same parameter.
 */
export class ParamScope {
  readonly #prefix: string;
  readonly #known: Map<string, { tensor: Tensor; spec: ParameterSpec }>;

  constructor(prefix = '', known = new Map<string, { tensor: Tensor; spec: ParameterSpec }>()) {
    this.#prefix = prefix;
    this.#known = known;
  }

  /** The scope one level down; several levels with dots. */
  at(name: string | number): ParamScope {
    return new ParamScope(`${this.#prefix}${name}.`, this.#known);
  }

  /** @throws Error when the name is known under another shape. */
  param(name: string, shape: readonly number[], init: Init): Tensor {
    const full = this.#prefix + name;
    const known = this.#known.get(full);
    if (known) {
      if (known.spec.shape.join() !== shape.join())
        throw new Error(`param: ${full} is [${known.spec.shape.join(', ')}], asked for as [${shape.join(', ')}]`);
      return known.tensor;
    }
    const tensor = parameter(full, shape);
    this.#known.set(full, { tensor, spec: { name: full, shape, init } });
    return tensor;
  }

  /** All parameters of the root scope in order of first use. */
  specs(): ParameterSpec[] {
    return [...this.#known.values()].map(({ spec }) => spec);
  }

  /** The symbolic tensors in the same order. */
  tensors(): Tensor[] {
    return [...this.#known.values()].map(({ tensor }) => tensor);
  }
}

/** Starting values; each depends on the seed and the parameter's name alone, not on the order of definition. */
export function initialize(spec: ParameterSpec, out: Float32Array, makeRandom: (...stream: number[]) => Philox): void {
  if (out.length !== sizeOf(spec.shape))
    throw new Error(`initialize: ${spec.name} needs ${sizeOf(spec.shape)} values, got room for ${out.length}`);
  const { init } = spec;
  if (init.kind === 'zeros') out.fill(0);
  else if (init.kind === 'ones') out.fill(1);
  else if (init.kind === 'constant') out.fill(init.value);
  else {
    const random = makeRandom(...streamFromName(spec.name));
    if (init.kind === 'normal') for (let i = 0; i < out.length; i++) out[i] = random.normal() * init.std;
    else {
      const bound = (init.gain ?? 1) / Math.sqrt(init.fanIn);
      for (let i = 0; i < out.length; i++) out[i] = (2 * random.uniform() - 1) * bound;
    }
  }
}
