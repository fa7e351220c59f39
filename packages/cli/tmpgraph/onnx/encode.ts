import type { OnnxAttribute, OnnxDType, OnnxModel, OnnxNode, OnnxTensor, OnnxValueInfo } from './model.ts';
import { ProtobufWriter } from './protobuf.ts';

// Field numbers of onnx.proto (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, ValueInfoProto).

const typeCodes: Readonly<Record<OnnxDType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
};
const attributeTypes = { float: 1, int: 2, string: 3, floats: 6, ints: 7 } as const;
const irVersion = 9;
const externalLocation = 1;
/** Page size: the runtime can then map weights straight from the file. */
const externalAlignBytes = 4096;

export interface EncodedModel {
  /** The .onnx file. */
  bytes: Uint8Array;
  /** Weights that belong into the external file, in order, each at its byte offset; views, not copies. */
  external: { data: Uint8Array; offset: number }[];
  externalBytes: number;
}

export interface EncodeOptions {
  /** Name of the file for large weights, as the model will refer to it; without it all weights go into the model. */
  externalFile?: string;
  /** Weights of at least this size go to the external file. Default 1,024. */
  externalThresholdBytes?: number;
}

/** Serialises a model as ONNX protobuf. Weights are little-endian, as every supported platform stores them. */
export function encodeModel(model: OnnxModel, options: EncodeOptions = {}): EncodedModel {
  const external: EncodedModel['external'] = [];
  let externalBytes = 0;
  const place = (tensor: OnnxTensor): number | null => {
    if (!options.externalFile || tensor.data.byteLength < (options.externalThresholdBytes ?? 1024)) return null;
    const offset = Math.ceil(externalBytes / externalAlignBytes) * externalAlignBytes;
    external.push({ data: bytesOf(tensor), offset });
    externalBytes = offset + tensor.data.byteLength;
    return offset;
  };
  const writer = new ProtobufWriter();
  writer.int(1, irVersion);
  writer.string(2, 'unif2ace');
  writer.message(7, (graph) => {
    for (const node of model.nodes) graph.message(1, (w) => writeNode(w, node));
    graph.string(2, model.name);
    for (const tensor of model.initializers)
      graph.message(5, (w) => writeTensor(w, tensor, place(tensor), options.externalFile));
    for (const info of model.inputs) graph.message(11, (w) => writeValueInfo(w, info));
    for (const info of model.outputs) graph.message(12, (w) => writeValueInfo(w, info));
  });
  writer.message(8, (opset) => {
    opset.string(1, '');
    opset.int(2, model.opset);
  });
  for (const [key, value] of Object.entries(model.metadata ?? {}))
    writer.message(14, (entry) => {
      entry.string(1, key);
      entry.string(2, value);
    });
  return { bytes: writer.finish(), external, externalBytes };
}

function bytesOf(tensor: OnnxTensor): Uint8Array {
  return new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
}

function writeNode(w: ProtobufWriter, node: OnnxNode): void {
  for (const name of node.inputs) w.string(1, name);
  for (const name of node.outputs) w.string(2, name);
  w.string(3, node.name);
  w.string(4, node.opType);
  for (const [name, attribute] of Object.entries(node.attributes))
    w.message(5, (inner) => writeAttribute(inner, name, attribute));
}

function writeAttribute(w: ProtobufWriter, name: string, attribute: OnnxAttribute): void {
  w.string(1, name);
  if (attribute.kind === 'float') w.float(2, attribute.value);
  else if (attribute.kind === 'int') w.int(3, attribute.value);
  else if (attribute.kind === 'string') w.string(4, attribute.value);
  else if (attribute.kind === 'floats') for (const value of attribute.value) w.float(7, value);
  else for (const value of attribute.value) w.int(8, value);
  w.int(20, attributeTypes[attribute.kind]);
}

function writeTensor(w: ProtobufWriter, tensor: OnnxTensor, offset: number | null, file: string | undefined): void {
  for (const dim of tensor.shape) w.int(1, dim);
  w.int(2, typeCodes[tensor.dtype]);
  w.string(8, tensor.name);
  if (offset === null || !file) {
    w.bytes(9, bytesOf(tensor));
    return;
  }
  const entries = { location: file, offset: String(offset), length: String(tensor.data.byteLength) };
  for (const [key, value] of Object.entries(entries))
    w.message(13, (entry) => {
      entry.string(1, key);
      entry.string(2, value);
    });
  w.int(14, externalLocation);
}

function writeValueInfo(w: ProtobufWriter, info: OnnxValueInfo): void {
  w.string(1, info.name);
  w.message(2, (type) =>
    type.message(1, (tensor) => {
      tensor.int(1, typeCodes[info.dtype]);
      tensor.message(2, (shape) => {
        for (const dim of info.shape)
          shape.message(1, (d) => (typeof dim === 'number' ? d.int(1, dim) : d.string(2, dim)));
      });
    }),
  );
}
