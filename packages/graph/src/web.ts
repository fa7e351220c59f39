export { engineFile, usableDevice, type WebDevice } from './runtime/web-engine.ts';
export { openRuntime, type WebOptions } from './runtime/web-runtime.ts';
