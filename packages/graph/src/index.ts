export { gradients } from './autodiff.ts';
export { type NdArray, ndarray } from './naive/array.ts';
export { evaluate } from './naive/evaluate.ts';
export { checkGradients, type GradientCheck, weightedSum } from './naive/gradient-check.ts';
export { type EncodedModel, encodeModel } from './onnx/encode.ts';
export { type BuildOptions, buildModel } from './onnx/lower.ts';
export * from './onnx/model.ts';
export { ProtobufWriter } from './onnx/protobuf.ts';
export { type QuantizeOptions, quantizeModel } from './onnx/quantize.ts';
export * from './ops/activation.ts';
export * from './ops/attention.ts';
export * from './ops/conv.ts';
export * from './ops/elementwise.ts';
export * from './ops/experts.ts';
export * from './ops/indexing.ts';
export * from './ops/layout.ts';
export * from './ops/linalg.ts';
export * from './ops/loss.ts';
export * from './ops/norm.ts';
export * from './ops/reduce.ts';
export * from './params.ts';
export { Philox, streamFromName } from './random.ts';
export * from './runtime/devices.ts';
export * from './runtime/flat-state.ts';
export * from './runtime/session.ts';
export * from './runtime/states.ts';
export { type Dim, type DType, formatShape, type Shape, ShapeError, sizeOf } from './shape.ts';
export {
  constant,
  input,
  int64s,
  parameter,
  scalar,
  stopGradient,
  straightThrough,
  Tensor,
  withGradient,
  withGradients,
} from './tensor.ts';
