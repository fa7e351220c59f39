export * from './checkpoint/atomic.node.ts';
export * from './checkpoint/safetensors.node.ts';
export * from './detection/face-detector.node.ts';
export * from './encoders/attribute-classifier.node.ts';
export * from './encoders/frozen-encoder.node.ts';
export * from './image/decode.node.ts';
export * from './model/files.node.ts';
export * from './model/folder.node.ts';
