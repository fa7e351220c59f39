export { findDevice, installedDevices, openRuntime } from './runtime/node-devices.ts';
export { directRuntime } from './runtime/node-direct.ts';
export { startWorker, workerRuntime } from './runtime/node-worker.ts';
