import { add, averagePool, buildModel, float32, input, type OnnxModel, reshape, type Session } from '@unif2ace/graph';
import type { PixelImage } from '../image/pixels.ts';
import { normalized } from './boxes.ts';
import type { FaceBox, FaceLandmarks, Point } from './detector.ts';
import { warp } from './resample.ts';
import { relu, SeparableLayers, samePadding } from './separable.ts';
import { applySimilarity, type Similarity } from './similarity.ts';
import type { Weight } from './tfjs-weights.ts';

// B batch

/** Side of the square that the network sees. */
const side = 112;
const meanRgb = [122.782, 117.001, 104.298] as const;
const blocks = 4;
const layersPerBlock = 4;

/**
 * The 68-point network of face-api.js (four dense blocks of separable convolutions; 0.4 MB, weights MIT): pixels [B, 3, 112,
 * 112] → points [B, 136], x and y in turn as fractions of the side, in the order of iBUG 300-W.
 */
export function landmarkModel(weights: ReadonlyMap<string, Weight>, batch: number): OnnxModel {
  const layers = new SeparableLayers(weights);
  let x = input('pixels', [batch, 3, side, side]);
  for (let block = 0; block < blocks; block++) {
    const name = `dense${block}/conv`;
    const first =
      block === 0
        ? layers.conv(`${name}0`, x, { stride: 2, padding: samePadding(2) })
        : layers.separable(`${name}0`, x, 2);
    let sum = relu(first);
    // each layer reads the sum of all before it
    for (let layer = 1; layer < layersPerBlock; layer++) sum = add(sum, layers.separable(`${name}${layer}`, relu(sum)));
    x = relu(sum);
  }
  const features = reshape(averagePool(x, x.dim(2)), [batch, x.dim(1)]);
  return buildModel({ points: layers.linear('fc', features) }, { name: 'landmarks-68', parameters: layers.values() });
}

/** Finds five points in the box of a face. */
export class LandmarkFinder {
  readonly #session: Session;

  /** @param session runs {@link landmarkModel} for a batch of two. */
  constructor(session: Session) {
    this.#session = session;
  }

  /** Looks twice: the second time with the face turned upright by what was seen the first time. */
  async find(photo: PixelImage, box: FaceBox): Promise<FaceLandmarks> {
    const [right, left] = await this.#look(photo, squareAround(box, 0));
    return this.#look(photo, squareAround(box, Math.atan2(left.y - right.y, left.x - right.x)));
  }

  /** The square that `place` puts on the photo, seen as it is and mirrored: the mean of both has no left-right bias. */
  async #look(photo: PixelImage, place: Similarity): Promise<FaceLandmarks> {
    const x_CHW = normalized(warp(photo, place, side, side), meanRgb, 255);
    const pixels = new Float32Array(2 * x_CHW.length);
    pixels.set(x_CHW);
    for (let i = 0; i < x_CHW.length; i++) pixels[x_CHW.length + i - (i % side) + side - 1 - (i % side)] = x_CHW[i]!;
    const { points } = await this.#session.run({ pixels: float32(pixels, [2, 3, side, side]) });
    const data = points!.data as Float32Array;
    const seen = fivePoints(data.subarray(0, data.length / 2));
    const [leftEye, rightEye, nose, leftMouth, rightMouth] = fivePoints(data.subarray(data.length / 2));
    const mirrored = [rightEye, leftEye, nose, rightMouth, leftMouth];
    return seen.map((point, i) =>
      applySimilarity(place, {
        x: ((point.x + 1 - mirrored[i]!.x) / 2) * side,
        y: ((point.y + mirrored[i]!.y) / 2) * side,
      }),
    ) as unknown as FaceLandmarks;
  }

  close(): Promise<void> {
    return this.#session.release();
  }
}

/** Place of the network's input on the photo: the square of the box's longer side around its centre, turned by `roll` radians. */
function squareAround(box: FaceBox, roll: number): Similarity {
  const scale = Math.max(box.width, box.height) / side;
  const [a, b] = [scale * Math.cos(roll), scale * Math.sin(roll)];
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  return { a, b, x: x - (a - b) * (side / 2), y: y - (b + a) * (side / 2) };
}

/** Five points of the 68: means of the six around each eye, tip of the nose, corners of the mouth. */
function fivePoints(points: Float32Array): FaceLandmarks {
  const point = (i: number): Point => ({ x: points[2 * i]!, y: points[2 * i + 1]! });
  const mean = (first: number, end: number): Point => {
    let [x, y] = [0, 0];
    for (let i = first; i < end; i++) [x, y] = [x + point(i).x, y + point(i).y];
    return { x: x / (end - first), y: y / (end - first) };
  };
  return [mean(36, 42), mean(42, 48), point(30), point(48), point(54)];
}
