import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { float32 } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { beforeAll, describe, expect, it } from 'vitest';
import { decodeImage } from '../image/decode.node.ts';
import { crop, type PixelImage } from '../image/pixels.ts';
import { BoxFinder, type BoxNetwork, normalized } from './boxes.ts';
import { type FaceBox, largestFirst } from './detector.ts';
import { faceApiFolder, readFaceApiWeights } from './face-detector.node.ts';
import { landmarkModel } from './landmarks68.ts';
import { fitLongerSide, padded } from './resample.ts';
import { ssdMobilenet } from './ssd-mobilenet.ts';
import { tinyFace } from './tiny-face.ts';

/** What these tests use of the package, which runs here as the oracle on TensorFlow.js' own CPU kernels. */
interface Net {
  loadFromWeightMap(weights: object): void;
  locateFaces(image: object, options: object): Promise<{ score: number; box: FaceBox }[]>;
  forward(image: object): Promise<{ dataSync(): Float32Array }>;
}
interface Oracle {
  tf: {
    setBackend(name: string): Promise<boolean>;
    io: { decodeWeights(bytes: ArrayBuffer, specs: object): object };
    tensor3d(data: Int32Array, shape: number[], dtype: string): object;
  };
  nets: { tinyFaceDetector: Net; ssdMobilenetv1: Net; faceLandmark68Net: Net };
}

const runtime = directRuntime({ intraOpThreads: 1 });
let oracle: Oracle;
let photo: PixelImage;

const tensor = ({ data, width, height }: PixelImage) =>
  oracle.tf.tensor3d(Int32Array.from(data), [height, width, 3], 'int32');

async function load(net: Net, name: string): Promise<Net> {
  const file = (end: string) => readFile(join(faceApiFolder(), 'model', `${name}${end}`));
  const manifest = JSON.parse((await file('-weights_manifest.json')).toString()) as { weights: object[] }[];
  const bytes = await file('.bin');
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
  net.loadFromWeightMap(
    oracle.tf.io.decodeWeights(
      buffer,
      manifest.flatMap((group) => group.weights),
    ),
  );
  return net;
}

beforeAll(async () => {
  // the bundle is for browsers: while it loads it must take this for one
  const scope = globalThis as { window?: unknown; document?: unknown };
  [scope.window, scope.document] = [globalThis, {}];
  oracle = (await import(pathToFileURL(join(faceApiFolder(), 'dist/face-api.esm.js')).href)) as Oracle;
  delete scope.window;
  delete scope.document;
  await oracle.tf.setBackend('cpu');
  photo = await decodeImage(join(faceApiFolder(), 'demo/sample1.jpg'));
});

/** Both get the same square of bytes, so that only the networks and their decoding are compared. */
async function compareBoxes(network: (options: object) => BoxNetwork, net: Net, side: number, options: object) {
  const square = padded(fitLongerSide(photo, side), side, side);
  const ours = new BoxFinder(
    runtime,
    network({ views: [{ side, fill: 1 }], minScore: 0.3, maxOverlap: side === 512 ? 0.5 : 0.4 }),
  );
  const got = largestFirst(await ours.find(square));
  const want = largestFirst(await net.locateFaces(tensor(square), options));
  await ours.close();
  expect(want.length).toBeGreaterThanOrEqual(1);
  expect(got).toHaveLength(want.length);
  for (const [i, { score, box }] of want.entries()) {
    expect(got[i]!.score).toBeCloseTo(score, 3);
    for (const key of ['x', 'y', 'width', 'height'] as const)
      expect(Math.abs(got[i]!.box[key] - box[key])).toBeLessThan(0.05);
  }
}

describe('the networks agree with the package itself', () => {
  it('tiny face detector', async () => {
    const weights = await readFaceApiWeights('tiny_face_detector_model');
    const net = await load(oracle.nets.tinyFaceDetector, 'tiny_face_detector_model');
    for (const inputSize of [320, 416])
      await compareBoxes((options) => tinyFace(weights, options), net, inputSize, { inputSize, scoreThreshold: 0.3 });
  });

  it('SSD MobileNet', async () => {
    const weights = await readFaceApiWeights('ssd_mobilenetv1_model');
    const net = await load(oracle.nets.ssdMobilenetv1, 'ssd_mobilenetv1_model');
    await compareBoxes((options) => ssdMobilenet(weights, options), net, 512, { minConfidence: 0.3, maxResults: 20 });
  });

  it('68 landmarks', async () => {
    const weights = await readFaceApiWeights('face_landmark_68_model');
    const net = await load(oracle.nets.faceLandmark68Net, 'face_landmark_68_model');
    const face = fitLongerSide(crop(photo, 400, 350, 224, 224), 112);
    const session = await runtime.createSession(landmarkModel(weights, 1));
    const pixels = float32(normalized(face, [122.782, 117.001, 104.298], 255), [1, 3, 112, 112]);
    const { points } = await session.run({ pixels });
    const want = (await net.forward(tensor(face))).dataSync();
    expect(want).toHaveLength(136);
    for (const [i, value] of want.entries()) expect(Math.abs(Number(points!.data[i]) - value)).toBeLessThan(1e-4);
    await session.release();
  });
});
