import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Runtime } from '@unif2ace/graph';
import { type FaceDetector, FaceError } from './detector.ts';
import { faceApiDetector } from './face-api.ts';
import { ssdMobilenet } from './ssd-mobilenet.ts';
import { readTfjsWeights, type Weight } from './tfjs-weights.ts';
import { tinyFace } from './tiny-face.ts';

const require = createRequire(import.meta.url);

/** Where the npm package @vladmandic/face-api (MIT, weights included) is installed. @throws FaceError when it is not. */
export function faceApiFolder(): string {
  try {
    return dirname(require.resolve('@vladmandic/face-api/package.json'));
  } catch {
    throw new FaceError(
      'face detector',
      'the package @vladmandic/face-api',
      'none',
      'npm install @vladmandic/face-api',
    );
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

export interface FaceDetectorOptions {
  /**
   * `ssd` (default) places boxes better and finds more in group photos; `tiny` takes a quarter of its time and a tenth of
   * its memory.
   */
  network?: 'ssd' | 'tiny';
}

/** The detector that needs nothing but the installed packages. @throws FaceError when its weights cannot be read. */
export async function openFaceDetector(
  runtime: Runtime,
  { network = 'ssd' }: FaceDetectorOptions = {},
): Promise<FaceDetector> {
  const tiny = await readFaceApiWeights('tiny_face_detector_model');
  const landmarks = await readFaceApiWeights('face_landmark_68_model');
  if (network === 'tiny') return faceApiDetector(runtime, { boxes: [tinyFace(tiny)], landmarks });
  const ssd = ssdMobilenet(await readFaceApiWeights('ssd_mobilenetv1_model'));
  // crops cut at chin and forehead, which the first misses, it finds in a small view
  const closeUp = tinyFace(tiny, { views: [{ side: 96, fill: 1 }] });
  return faceApiDetector(runtime, { boxes: [ssd, closeUp], landmarks });
}
