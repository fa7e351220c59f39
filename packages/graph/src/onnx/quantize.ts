import type { OnnxModel, OnnxNode, OnnxTensor } from './model.ts';

// N outputs, K inputs of a matrix product, S values of a block

export interface QuantizeOptions {
  bits: 4 | 8;
  /** Values that share a scale, a power of two from 16 on. Default 32: smaller is closer and larger. */
  blockSize?: number;
  /** Weights to leave as they are, by name: where small errors change decisions, as in routers. */
  keep?: (name: string) => boolean;
}

interface Quantized {
  values: Uint8Array;
  scales: Float32Array;
}

/** Graphs of several batch sizes share weights: each is quantised once. */
const known = new WeakMap<object, Map<string, Quantized>>();

/**
 * The model with its constant matrices as 4- or 8-bit integers: every Gemm x·Wᵀ + b becomes MatMulNBits of com.microsoft, a scale
 * per block of a row. Products count in 8-bit integers too, activations quantised block by block on the way. Matrices with fewer
 * inputs than a block, embeddings and convolutions stay.
 */
export function quantizeModel(model: OnnxModel, options: QuantizeOptions): OnnxModel {
  const { bits, blockSize = 32, keep = () => false } = options;
  if (!(blockSize >= 16 && Number.isInteger(Math.log2(blockSize))))
    throw new RangeError(`quantizeModel: blockSize: expected a power of two from 16 on, got ${blockSize}`);
  const initializers = new Map(model.initializers.map((tensor) => [tensor.name, tensor]));
  const added = new Map<string, OnnxTensor>();
  const nodes = model.nodes.flatMap((node): OnnxNode[] => {
    const weight = quantizable(node, initializers);
    if (!weight || weight.shape[1]! < blockSize || keep(weight.name)) return [node];
    const [outputs, inputs] = weight.shape as [number, number];
    const blocks = Math.ceil(inputs / blockSize);
    const [valuesName, scalesName] = [`${weight.name}.int${bits}`, `${weight.name}.scales`];
    if (!added.has(valuesName)) {
      const { values, scales } = quantized(weight, bits, blockSize);
      const shape = [outputs, blocks, (blockSize * bits) / 8];
      added.set(valuesName, { name: valuesName, dtype: 'uint8', shape, data: values });
      added.set(scalesName, { name: scalesName, dtype: 'float32', shape: [outputs * blocks], data: scales });
    }
    const bias = node.inputs[2];
    const product = bias ? `${node.outputs[0]}/product` : node.outputs[0]!;
    const int = (value: number) => ({ kind: 'int' as const, value });
    const multiply: OnnxNode = {
      opType: 'MatMulNBits',
      domain: 'com.microsoft',
      name: `${node.name}_int${bits}`,
      inputs: [node.inputs[0]!, valuesName, scalesName],
      outputs: [product],
      attributes: {
        K: int(inputs),
        N: int(outputs),
        bits: int(bits),
        block_size: int(blockSize),
        accuracy_level: int(4),
      },
    };
    if (!bias) return [multiply];
    return [
      multiply,
      { opType: 'Add', name: `${node.name}_bias`, inputs: [product, bias], outputs: node.outputs, attributes: {} },
    ];
  });
  const used = new Set([...nodes.flatMap((node) => node.inputs), ...model.outputs.map(({ name }) => name)]);
  return {
    ...model,
    nodes,
    initializers: [...model.initializers.filter(({ name }) => used.has(name)), ...added.values()],
  };
}

function quantizable(node: OnnxNode, initializers: ReadonlyMap<string, OnnxTensor>): OnnxTensor | null {
  if (node.opType !== 'Gemm') return null;
  const { transA, transB } = node.attributes;
  const weight = initializers.get(node.inputs[1]!);
  const plain = transA?.kind === 'int' && transA.value === 0 && transB?.kind === 'int' && transB.value === 1;
  return plain && weight?.dtype === 'float32' ? weight : null;
}

function quantized(weight: OnnxTensor, bits: 4 | 8, blockSize: number): Quantized {
  const ways = known.get(weight.data) ?? new Map<string, Quantized>();
  known.set(weight.data, ways);
  const key = `${bits}:${blockSize}`;
  const done = ways.get(key) ?? quantizeRows(weight.data as Float32Array, weight.shape[1]!, bits, blockSize);
  ways.set(key, done);
  return done;
}

/**
 * Rows of K values in blocks: w ≈ scale·(q − 2^(bits−1)). The value of largest magnitude is hit exactly: it becomes the lowest
 * integer, of which there is one more than of positive ones. Two 4-bit values a byte, the first one low.
 */
export function quantizeRows(data: Float32Array, inputs: number, bits: 4 | 8, blockSize: number): Quantized {
  const outputs = data.length / inputs;
  const blocks = Math.ceil(inputs / blockSize);
  const middle = 2 ** (bits - 1);
  const blockBytes = (blockSize * bits) / 8;
  const values = new Uint8Array(outputs * blocks * blockBytes);
  const scales = new Float32Array(outputs * blocks);
  for (let row = 0; row < outputs; row++)
    for (let block = 0; block < blocks; block++) {
      const start = row * inputs + block * blockSize;
      const count = Math.min(blockSize, inputs - block * blockSize);
      let largest = 0;
      for (let i = 0; i < count; i++) if (Math.abs(data[start + i]!) > Math.abs(largest)) largest = data[start + i]!;
      const scale = Math.fround(largest / -middle);
      const at = row * blocks + block;
      scales[at] = scale;
      for (let i = 0; i < blockSize; i++) {
        const wanted = i < count && scale !== 0 ? Math.round(data[start + i]! / scale) : 0;
        const q = Math.max(-middle, Math.min(middle - 1, wanted)) + middle;
        if (bits === 8) values[at * blockBytes + i] = q;
        else values[at * blockBytes + (i >> 1)]! |= q << (4 * (i & 1));
      }
    }
  return { values, scales };
}
