export type OnnxDType = 'float32' | 'float16' | 'int64' | 'int32' | 'int8' | 'uint8' | 'bool';

export type TypedArray = Float32Array | Uint16Array | BigInt64Array | Int32Array | Int8Array | Uint8Array;

export type OnnxAttribute =
  | { kind: 'int'; value: number }
  | { kind: 'float'; value: number }
  | { kind: 'ints'; value: readonly number[] }
  | { kind: 'floats'; value: readonly number[] }
  | { kind: 'string'; value: string }
  | { kind: 'tensor'; value: OnnxTensor };

/** A stored tensor. float16 values are bit patterns in a Uint16Array, booleans bytes of 0 and 1. */
export interface OnnxTensor {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

export interface OnnxNode {
  readonly opType: string;
  /** Operator set, for example 'com.microsoft'; the standard one by default. */
  readonly domain?: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** Name, type and shape of an input or output; a string is a symbolic dimension. */
export interface OnnxValueInfo {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly shape: readonly (number | string)[];
}

/** An ONNX graph as data. */
export interface OnnxModel {
  readonly opset: number;
  readonly name: string;
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
  readonly initializers: readonly OnnxTensor[];
  readonly nodes: readonly OnnxNode[];
  /** Multiplications and additions of its matrix products and convolutions in one run; run-time rows count at their mean. */
  readonly flops?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

const arrayTypes = {
  float32: Float32Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Record<OnnxDType, unknown>;

/** What is wrong with a tensor's values for its type and shape; null when they fit. */
export function tensorFault({ dtype, shape, data }: Omit<OnnxTensor, 'name'>): string | null {
  if (!(data instanceof arrayTypes[dtype]))
    return `${dtype} values come in a ${arrayTypes[dtype].name}, got ${(data as object).constructor.name}`;
  const size = shape.reduce((a, b) => a * b, 1);
  return data.length === size ? null : `shape [${shape.join(', ')}] needs ${size} values, got ${data.length}`;
}
