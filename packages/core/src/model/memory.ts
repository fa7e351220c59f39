import { sizeOf } from '@unif2ace/graph';
import type { ModelConfig } from './config.ts';
import { modelSpecs } from './specs.ts';

const bytesPerWeight = 4;
/** The engine's program, its arenas and the page's own. */
const engineBytes = 100e6;
/** Copies of the weights: those read, and those that the graphs of faces and of answers rearrange for themselves. */
const copies = 3;

/** Memory in bytes that a model takes in the browser once it has made faces and given answers: an estimate. */
export function predictedMemoryBytes(config: ModelConfig): number {
  const weights = modelSpecs(config).reduce((count, { shape }) => count + sizeOf(shape), 0);
  return engineBytes + copies * bytesPerWeight * weights;
}
