export * from './checkpoint/atomic.node.ts';
export * from './checkpoint/safetensors.node.ts';
export * from './image/decode.node.ts';
export * from './model/files.node.ts';
