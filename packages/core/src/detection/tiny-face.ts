import { buildModel, input, maximum, maxPool, mul, type OnnxModel, type Tensor } from '@unif2ace/graph';
import { type BoxNetwork, type BoxOptions, normalized, type ScoredBox, sigmoid } from './boxes.ts';
import { SeparableLayers } from './separable.ts';
import type { Weight } from './tfjs-weights.ts';

// S side of the input, G = S / 32 cells a side

/** Widths and heights of the five anchors, in cells. */
const anchors = [
  [1.603231, 2.094468],
  [6.041143, 7.080126],
  [2.882459, 3.518061],
  [4.266906, 5.178857],
  [9.041765, 10.66308],
] as const;
const meanRgb = [117.001, 114.697, 97.404] as const;
const cellPixels = 32;
/** Per anchor: centre x, y, width, height, score. */
const valuesPerAnchor = 5;

/**
 * The tiny face detector of face-api.js (Tiny YOLOv2 with separable convolutions; 0.2 MB, weights MIT). Several times faster
 * than {@link ssdMobilenet} and less sure of tight crops and of turned faces. Sides are multiples of 32.
 */
export function tinyFace(weights: ReadonlyMap<string, Weight>, options: Partial<BoxOptions> = {}): BoxNetwork {
  return {
    options: {
      views: [416, 160, 96].map((side) => ({ side, fill: 1 })),
      minScore: 0.5,
      maxOverlap: 0.3,
      ...options,
    },
    model: (side) => tinyFaceModel(weights, side),
    normalize: (image) => normalized(image, meanRgb, 255),
    decode: ({ cells }, side, minScore) => decodeCells(cells!.data as Float32Array, side / cellPixels, minScore),
  };
}

/** pixels [1, 3, S, S] → cells [1, 25, G, G], not yet squashed. */
function tinyFaceModel(weights: ReadonlyMap<string, Weight>, side: number): OnnxModel {
  const layers = new SeparableLayers(weights);
  const leaky = (x: Tensor) => maximum(x, mul(x, 0.1));
  let x = leaky(layers.conv('conv0', input('pixels', [1, 3, side, side])));
  for (let level = 1; level <= 5; level++) {
    // conv0 has no padding, so the first side is odd
    const rest = x.dim(2) % 2;
    x = leaky(layers.separable(`conv${level}`, maxPool(x, 2, { padding: [0, 0, rest, rest] })));
  }
  x = maxPool(x, 2, { stride: 1, padding: [0, 0, 1, 1] });
  return buildModel({ cells: layers.conv('conv8', x) }, { name: 'tiny-face', parameters: layers.values() });
}

function decodeCells(cells: Float32Array, grid: number, minScore: number): ScoredBox[] {
  const area = grid * grid;
  const boxes: ScoredBox[] = [];
  for (const [anchor, [anchorWidth, anchorHeight]] of anchors.entries())
    for (let cell = 0; cell < area; cell++) {
      const value = (i: number) => cells[(anchor * valuesPerAnchor + i) * area + cell]!;
      const score = sigmoid(value(4));
      if (!(score >= minScore)) continue;
      const x = ((cell % grid) + sigmoid(value(0))) * cellPixels;
      const y = (Math.floor(cell / grid) + sigmoid(value(1))) * cellPixels;
      const width = Math.exp(value(2)) * anchorWidth * cellPixels;
      const height = Math.exp(value(3)) * anchorHeight * cellPixels;
      boxes.push({ box: { x: x - width / 2, y: y - height / 2, width, height }, score });
    }
  return boxes;
}
