import type { OnnxAttribute } from './onnx/model.ts';
import { type DType, formatShape, type Shape, ShapeError, sizeOf } from './shape.ts';

export type ConstantData = Float32Array | BigInt64Array | Int32Array | Uint8Array;

/** Gradient rule: gradients of the outputs (null where none flows) to gradients of `gradInputs`. */
export type Vjp = (dOutputs: readonly (Tensor | null)[]) => readonly (Tensor | null)[];

/**
 * One operation of the graph. `op` is an ONNX operator name, or one of
 * `Input` (fed at run time), `Parameter` (fed in training, an initializer in inference), `Constant`,
 * `Alias` (no computation: its only input under another gradient rule).
 */
export interface Node {
  readonly id: number;
  readonly op: string;
  readonly inputs: readonly (Tensor | null)[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
  readonly outputs: Tensor[];
  /** Tensors that receive the gradients returned by `vjp`; `inputs` unless an Alias redirects them. */
  readonly gradInputs: readonly (Tensor | null)[];
  readonly vjp: Vjp | null;
  readonly name: string | null;
  readonly data: ConstantData | null;
}

/** A symbolic tensor: the value that one output of a node will have. Immutable. */
export class Tensor {
  readonly node: Node;
  readonly index: number;
  readonly shape: Shape;
  readonly dtype: DType;

  constructor(node: Node, index: number, shape: Shape, dtype: DType) {
    this.node = node;
    this.index = index;
    this.shape = shape;
    this.dtype = dtype;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Dimension of an axis as a number. @throws ShapeError when it is known only at run time or out of range. */
  dim(axis: number): number {
    const dim = this.shape[axis < 0 ? axis + this.rank : axis];
    if (typeof dim !== 'number') throw new ShapeError(`dim: axis ${axis} of ${this} is ${dim ?? 'out of range'}`);
    return dim;
  }

  toString(): string {
    return `${this.node.name ?? this.node.op}:${this.dtype}${formatShape(this.shape)}`;
  }
}

let nextNodeId = 0;

export interface NodeSpec {
  op: string;
  inputs: readonly (Tensor | null)[];
  outputs: readonly { shape: Shape; dtype: DType }[];
  attributes?: Readonly<Record<string, OnnxAttribute>>;
  vjp?: Vjp;
  gradInputs?: readonly (Tensor | null)[];
  name?: string;
  data?: ConstantData;
}

/** Adds a node and returns its outputs. Every operator ends here. */
export function apply(spec: NodeSpec): Tensor[] {
  const node: Node = {
    id: nextNodeId++,
    op: spec.op,
    inputs: spec.inputs,
    attributes: spec.attributes ?? {},
    outputs: [],
    gradInputs: spec.gradInputs ?? spec.inputs,
    vjp: spec.vjp ?? null,
    name: spec.name ?? null,
    data: spec.data ?? null,
  };
  spec.outputs.forEach((output, index) => {
    node.outputs.push(new Tensor(node, index, output.shape, output.dtype));
  });
  return node.outputs;
}

/** As `apply`, for the many operators with one output. */
export function apply1(spec: Omit<NodeSpec, 'outputs'> & { shape: Shape; dtype: DType }): Tensor {
  const { shape, dtype, ...rest } = spec;
  return apply({ ...rest, outputs: [{ shape, dtype }] })[0]!;
}

/** A value fed at every run. Names must be unique within a model. */
export function input(name: string, shape: Shape, dtype: DType = 'float32'): Tensor {
  return apply1({ op: 'Input', inputs: [], shape, dtype, name });
}

/** A trainable tensor under its state_dict name. */
export function parameter(name: string, shape: readonly number[]): Tensor {
  return apply1({ op: 'Parameter', inputs: [], shape, dtype: 'float32', name });
}

function dtypeOf(data: ConstantData): DType {
  if (data instanceof Float32Array) return 'float32';
  if (data instanceof BigInt64Array) return 'int64';
  if (data instanceof Int32Array) return 'int32';
  return 'bool';
}

/** A value written into the graph. @throws ShapeError when data and shape do not match. */
export function constant(data: ConstantData, shape: readonly number[]): Tensor {
  if (sizeOf(shape) !== data.length)
    throw new ShapeError(`constant: shape ${formatShape(shape)} needs ${sizeOf(shape)} values, got ${data.length}`);
  return apply1({ op: 'Constant', inputs: [], shape, dtype: dtypeOf(data), data });
}

/** A rank-0 float32 constant. */
export function scalar(value: number): Tensor {
  return constant(Float32Array.of(value), []);
}

/** A rank-1 int64 constant, the form in which ONNX takes axes, shapes and sizes. */
export function int64s(values: readonly number[]): Tensor {
  return constant(BigInt64Array.from(values, BigInt), [values.length]);
}

/**
 * `values` under another gradient rule: forward nothing is computed, backward `vjp` maps their gradients
 * to the gradients of `gradInputs`. Base of every hand-derived gradient, of `stopGradient` and `straightThrough`.
 */
export function withGradients(values: readonly Tensor[], gradInputs: readonly Tensor[], vjp: Vjp): Tensor[] {
  return apply({
    op: 'Alias',
    inputs: values,
    outputs: values.map(({ shape, dtype }) => ({ shape, dtype })),
    gradInputs,
    vjp,
  });
}

/** As `withGradients`, for one value. */
export function withGradient(
  value: Tensor,
  gradInputs: readonly Tensor[],
  vjp: (dValue: Tensor) => readonly (Tensor | null)[],
): Tensor {
  return withGradients([value], gradInputs, ([dValue]) => vjp(dValue!))[0]!;
}

/** `value` as a constant for the gradient. */
export function stopGradient(value: Tensor): Tensor {
  return withGradient(value, [], () => []);
}

/** Forward `value`, backward the identity to `through` (straight-through estimator). Shapes must be equal. */
export function straightThrough(value: Tensor, through: Tensor): Tensor {
  if (formatShape(value.shape) !== formatShape(through.shape))
    throw new ShapeError(`straightThrough: expected equal shapes, got ${value} and ${through}`);
  return withGradient(value, [through], (dValue) => [dValue]);
}

/** All nodes that the outputs need, inputs first. */
export function topologicalOrder(outputs: readonly Tensor[], inputsOf = (node: Node) => node.inputs): Node[] {
  const order: Node[] = [];
  const state = new Set<number>();
  // explicit stack: deep graphs overflow the call stack
  const stack: { node: Node; next: number }[] = [];
  const visit = (node: Node) => {
    if (state.has(node.id)) return;
    state.add(node.id);
    stack.push({ node, next: 0 });
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const inputs = inputsOf(top.node);
      if (top.next < inputs.length) {
        const source = inputs[top.next++];
        if (source && !state.has(source.node.id)) {
          state.add(source.node.id);
          stack.push({ node: source.node, next: 0 });
        }
      } else {
        order.push(top.node);
        stack.pop();
      }
    }
  };
  for (const output of outputs) visit(output.node);
  return order;
}
