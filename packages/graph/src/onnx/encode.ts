import {
  type OnnxAttribute,
  type OnnxDType,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
  tensorFault,
} from './model.ts';
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
const attributeTypes = { float: 1, int: 2, string: 3, tensor: 4, floats: 6, ints: 7 } as const;
const irVersion = 9;
const externalLocation = 1;
/** Page size: the runtime can then map weights straight from the file. */
const externalAlignBytes = 4096;
/** Protobuf's own bound on a message. */
const maxModelBytes = 2 ** 31 - 1;

export interface EncodedModel {
  /** The .onnx file. */
  bytes: Uint8Array;
  /** Weights that belong into external files, in order, each at its byte offset; views, not copies. */
  external: { file: string; data: Uint8Array; offset: number }[];
  /** Size of the external file; of all together when each weight has its own. */
  externalBytes: number;
}

export interface EncodeOptions {
  /**
   * Name of the file for large weights, as the model will refer to it; a function gives the i-th large weight a file
   * of its own. Without it all weights go into the model, which then must stay below 2 GiB.
   */
  externalFile?: string | ((index: number) => string);
  /** Where certain weights already lie in files, instead of `externalFile`; nothing of them is written. */
  externalPlaces?: ReadonlyMap<OnnxTensor, ExternalPlace>;
  /** Weights of at least this size go to the external file. Default 1,024. */
  externalThresholdBytes?: number;
}

/**
 * Serialises a model as ONNX protobuf. Weights are little-endian, as every supported platform stores them.
 * @throws RangeError on values that do not fit their type or shape, or 2 GiB and more inside the model.
 */
export function encodeModel(model: OnnxModel, options: EncodeOptions = {}): EncodedModel {
  const { externalFile, externalThresholdBytes = 1024 } = options;
  const external: EncodedModel['external'] = [];
  const places = new Map<OnnxTensor, ExternalPlace>(options.externalPlaces);
  let externalBytes = 0;
  let inlineBytes = 0;
  for (const tensor of model.initializers) {
    checkTensor(tensor);
    const { byteLength } = tensor.data;
    if (places.has(tensor)) continue;
    if (!externalFile || byteLength < externalThresholdBytes) {
      inlineBytes += byteLength;
      continue;
    }
    const shared = typeof externalFile === 'string';
    const file = shared ? externalFile : externalFile(external.length);
    const offset = shared ? Math.ceil(externalBytes / externalAlignBytes) * externalAlignBytes : 0;
    external.push({ file, data: bytesOf(tensor), offset });
    places.set(tensor, { file, offset });
    externalBytes = shared ? offset + byteLength : externalBytes + byteLength;
  }
  if (inlineBytes > maxModelBytes)
    throw new RangeError(
      `encodeModel: ${inlineBytes} bytes of weights do not fit into one ONNX file (2 GiB): set externalFile`,
    );
  const writer = new ProtobufWriter();
  writer.int(1, irVersion);
  writer.string(2, 'unif2ace');
  writer.message(7, (graph) => {
    for (const node of model.nodes) graph.message(1, (w) => writeNode(w, node));
    graph.string(2, model.name);
    for (const tensor of model.initializers) graph.message(5, (w) => writeTensor(w, tensor, places.get(tensor)));
    for (const info of model.inputs) graph.message(11, (w) => writeValueInfo(w, info));
    for (const info of model.outputs) graph.message(12, (w) => writeValueInfo(w, info));
  });
  const domains = new Set(model.nodes.map((node) => node.domain ?? '')).add('');
  for (const domain of domains)
    writer.message(8, (opset) => {
      opset.string(1, domain);
      opset.int(2, domain === '' ? model.opset : 1);
    });
  for (const [key, value] of Object.entries(model.metadata ?? {}))
    writer.message(14, (entry) => {
      entry.string(1, key);
      entry.string(2, value);
    });
  return { bytes: writer.finish(), external, externalBytes };
}

interface ExternalPlace {
  readonly file: string;
  readonly offset: number;
}

function checkTensor(tensor: OnnxTensor): void {
  const fault = tensorFault(tensor);
  if (fault) throw new RangeError(`encodeModel: tensor ${tensor.name}: ${fault}`);
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
  if (node.domain) w.string(7, node.domain);
}

function writeAttribute(w: ProtobufWriter, name: string, attribute: OnnxAttribute): void {
  w.string(1, name);
  if (attribute.kind === 'float') w.float(2, attribute.value);
  else if (attribute.kind === 'int') w.int(3, attribute.value);
  else if (attribute.kind === 'string') w.string(4, attribute.value);
  else if (attribute.kind === 'tensor') {
    checkTensor(attribute.value);
    w.message(5, (inner) => writeTensor(inner, attribute.value));
  } else if (attribute.kind === 'floats') for (const value of attribute.value) w.float(7, value);
  else for (const value of attribute.value) w.int(8, value);
  w.int(20, attributeTypes[attribute.kind]);
}

function writeTensor(w: ProtobufWriter, tensor: OnnxTensor, place?: ExternalPlace): void {
  for (const dim of tensor.shape) w.int(1, dim);
  w.int(2, typeCodes[tensor.dtype]);
  w.string(8, tensor.name);
  if (!place) {
    w.bytes(9, bytesOf(tensor));
    return;
  }
  const entries = { location: place.file, offset: String(place.offset), length: String(tensor.data.byteLength) };
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
