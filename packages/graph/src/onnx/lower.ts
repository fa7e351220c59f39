import { type DType, ShapeError } from '../shape.ts';
import { type ConstantData, type Node, type Tensor, topologicalOrder } from '../tensor.ts';
import { FlopCounter } from './flops.ts';
import type { OnnxModel, OnnxNode, OnnxTensor, OnnxValueInfo } from './model.ts';

const opset = 20;

export interface BuildOptions {
  name?: string;
  /** Values to write into the model as initializers; parameters without a value become inputs. */
  parameters?: ReadonlyMap<string, Float32Array>;
  metadata?: Record<string, string>;
}

/**
 * The ONNX model that computes the named outputs: only what they need, each common subexpression once.
 * @throws ShapeError on two inputs of one name, or a parameter value of the wrong size.
 */
export function buildModel(outputs: Readonly<Record<string, Tensor>>, options: BuildOptions = {}): OnnxModel {
  const builder = new ModelBuilder(options);
  for (const node of topologicalOrder(Object.values(outputs))) builder.add(node);
  return builder.finish(outputs);
}

class ModelBuilder {
  readonly #options: BuildOptions;
  readonly #values = new Map<string, string>();
  readonly #seen = new Map<string, string[]>();
  readonly #inputs = new Map<string, OnnxValueInfo>();
  readonly #initializers = new Map<string, OnnxTensor>();
  readonly #constants = new Map<string, string>();
  readonly #flops = new FlopCounter();
  readonly #objects = new WeakMap<object, number>();
  #objectCount = 0;
  #nodes: OnnxNode[] = [];

  constructor(options: BuildOptions) {
    this.#options = options;
  }

  #value(tensor: Tensor): string {
    const name = this.#values.get(`${tensor.node.id}:${tensor.index}`);
    if (name === undefined) throw new ShapeError(`buildModel: ${tensor} is used before it is computed`);
    return name;
  }

  #bind(node: Node, names: readonly string[]): void {
    names.forEach((name, index) => {
      this.#values.set(`${node.id}:${index}`, name);
    });
  }

  add(node: Node): void {
    if (node.op === 'Input') this.#addInput(node, node.outputs[0]!.dtype);
    else if (node.op === 'Parameter') this.#addParameter(node);
    else if (node.op === 'Constant') this.#bind(node, [this.#addConstant(node)]);
    else if (node.op === 'Alias')
      this.#bind(
        node,
        node.inputs.map((source) => this.#value(source!)),
      );
    else this.#addOperation(node);
  }

  #addInput(node: Node, dtype: DType): void {
    const name = node.name!;
    if (this.#inputs.has(name)) throw new ShapeError(`buildModel: two inputs are named ${name}`);
    this.#inputs.set(name, { name, dtype, shape: node.outputs[0]!.shape });
    this.#bind(node, [name]);
  }

  #addParameter(node: Node): void {
    const name = node.name!;
    const shape = node.outputs[0]!.shape as readonly number[];
    const data = this.#options.parameters?.get(name);
    if (!data) {
      this.#addInput(node, 'float32');
      return;
    }
    const size = shape.reduce((a, b) => a * b, 1);
    if (data.length !== size)
      throw new ShapeError(`buildModel: ${name} [${shape.join(', ')}] needs ${size} values, got ${data.length}`);
    this.#initializers.set(name, { name, dtype: 'float32', shape, data });
    this.#bind(node, [name]);
  }

  #addConstant(node: Node): string {
    const { shape, dtype } = node.outputs[0]!;
    const data = node.data!;
    const key = `${dtype}[${shape.join()}]${this.#contentKey(data)}`;
    const known = this.#constants.get(key);
    if (known) return known;
    const name = `/c${this.#constants.size}`;
    this.#constants.set(key, name);
    this.#initializers.set(name, { name, dtype, shape: shape as readonly number[], data });
    return name;
  }

  #contentKey(data: ConstantData): string {
    if (data.length <= 64) return data.join();
    const known = this.#objects.get(data) ?? this.#objectCount++;
    this.#objects.set(data, known);
    return `#${known}`;
  }

  #addOperation(node: Node): void {
    const inputs = node.inputs.map((source) => (source ? this.#value(source) : ''));
    const key = `${node.op}(${inputs.join()})${JSON.stringify(node.attributes)}`;
    const known = this.#seen.get(key);
    if (known) {
      this.#bind(node, known);
      return;
    }
    this.#flops.add(node);
    const serial = this.#nodes.length;
    const names = node.outputs.map((_, index) => (node.outputs.length === 1 ? `/v${serial}` : `/v${serial}_${index}`));
    this.#seen.set(key, names);
    this.#bind(node, names);
    this.#nodes.push({
      opType: node.op,
      name: `${node.op}_${serial}`,
      inputs,
      outputs: names,
      attributes: node.attributes,
    });
  }

  finish(outputs: Readonly<Record<string, Tensor>>): OnnxModel {
    const rename = new Map<string, string>();
    const produced = new Set(this.#nodes.flatMap((node) => node.outputs));
    const infos: OnnxValueInfo[] = [];
    const copies: OnnxNode[] = [];
    for (const [name, tensor] of Object.entries(outputs)) {
      const value = this.#value(tensor);
      infos.push({ name, dtype: tensor.dtype, shape: tensor.shape });
      if (produced.has(value) && !rename.has(value)) rename.set(value, name);
      else
        copies.push({ opType: 'Identity', name: `Output_${name}`, inputs: [value], outputs: [name], attributes: {} });
    }
    const renamed = (names: readonly string[]) => names.map((name) => rename.get(name) ?? name);
    const used = new Set([...this.#nodes, ...copies].flatMap((node) => node.inputs));
    const nodes = [...this.#nodes, ...copies].map((node) => ({
      ...node,
      inputs: renamed(node.inputs),
      // statistics of LayerNormalization are optional outputs: an empty name leaves one out
      outputs: renamed(
        node.opType === 'LayerNormalization'
          ? node.outputs.map((name, i) => (i === 0 || used.has(name) || rename.has(name) ? name : ''))
          : node.outputs,
      ),
    }));
    return {
      opset,
      name: this.#options.name ?? 'unif2ace',
      inputs: [...this.#inputs.values()],
      outputs: infos,
      initializers: [...this.#initializers.values()],
      nodes,
      flops: this.#flops.total,
      ...(this.#options.metadata && { metadata: this.#options.metadata }),
    };
  }
}
