import type { Runtime } from '@unif2ace/graph';
import { BoxFinder, type BoxNetwork, type BoxOptions } from './boxes.ts';
import { type DetectedFace, type FaceDetector, largestFirst } from './detector.ts';
import { LandmarkFinder, landmarkModel } from './landmarks68.ts';
import type { Weight } from './tfjs-weights.ts';

export interface FaceApiNetworks {
  /** `ssdMobilenet`, or the light `tinyFace`. */
  boxes: BoxNetwork;
  /** Weights of the 68-point network. */
  landmarks: ReadonlyMap<string, Weight>;
}

/**
 * Face detector on the networks of face-api.js: one finds boxes, the other the points in each.
 * @param options default: those of the box network.
 */
export async function faceApiDetector(
  runtime: Runtime,
  { boxes, landmarks }: FaceApiNetworks,
  options: Partial<BoxOptions> = {},
): Promise<FaceDetector> {
  const boxFinder = new BoxFinder(runtime, boxes, options);
  const landmarkFinder = new LandmarkFinder(await runtime.createSession(landmarkModel(landmarks, 2)));
  return {
    async detect(photo) {
      const faces: DetectedFace[] = [];
      for (const { box, score } of await boxFinder.find(photo))
        faces.push({ box, landmarks: await landmarkFinder.find(photo, box), score });
      return largestFirst(faces);
    },
    async close() {
      await Promise.all([boxFinder.close(), landmarkFinder.close()]);
    },
  };
}
