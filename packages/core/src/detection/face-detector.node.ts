import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Runtime } from '@unif2ace/graph';
import type { BoxOptions } from './boxes.ts';
import { type FaceDetector, FaceError } from './detector.ts';
import { faceApiDetector } from './face-api.ts';
import { ssdMobilenet } from './ssd-mobilenet.ts';
import { readTfjsWeights, type Weight } from './tfjs-weights.ts';
import { tinyFace } from './tiny-face.ts';

const packageName = '@vladmandic/face-api';

/** Where the npm package @vladmandic/face-api (MIT, weights included) is installed. @throws FaceError when it is not. */
export function faceApiFolder(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve(`${packageName}/package.json`));
  } catch {
    throw new FaceError('face detector', `the package ${packageName}`, 'none', `npm install ${packageName}`);
  }
}

/** Weights of one network of the package by its file name there, for example `face_landmark_68_model`. */
export async function readFaceApiWeights(name: string): Promise<Map<string, Weight>> {
  const folder = join(faceApiFolder(), 'model');
  const [manifest, bytes] = await Promise.all(
    [`${name}-weights_manifest.json`, `${name}.bin`].map((file) =>
      readFile(join(folder, file)).catch((error: NodeJS.ErrnoException) => {
        throw new FaceError(join(folder, file), 'a readable file', `${error.code}`, 'to install the package again');
      }),
    ),
  );
  return readTfjsWeights(name, JSON.parse(manifest!.toString('utf8')), bytes!);
}

export interface FaceDetectorOptions extends Partial<BoxOptions> {
  /** `ssd` (default) finds more and places boxes better; `tiny` takes a fraction of its time. */
  network?: 'ssd' | 'tiny';
}

/** The detector that needs nothing but the installed packages. @throws FaceError when its weights cannot be read. */
export async function openFaceDetector(runtime: Runtime, options: FaceDetectorOptions = {}): Promise<FaceDetector> {
  const { network = 'ssd', ...boxOptions } = options;
  const [boxes, landmarks] = await Promise.all([
    readFaceApiWeights(network === 'ssd' ? 'ssd_mobilenetv1_model' : 'tiny_face_detector_model'),
    readFaceApiWeights('face_landmark_68_model'),
  ]);
  return faceApiDetector(
    runtime,
    { boxes: network === 'ssd' ? ssdMobilenet(boxes) : tinyFace(boxes), landmarks },
    boxOptions,
  );
}
