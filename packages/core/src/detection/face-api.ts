import type { Runtime } from '@unif2ace/graph';
import { BoxFinder, type BoxNetwork, type ScoredBox } from './boxes.ts';
import { type DetectedFace, type FaceDetector, largestFirst } from './detector.ts';
import { LandmarkFinder, landmarkModel } from './landmarks68.ts';
import type { Weight } from './tfjs-weights.ts';

export interface FaceApiNetworks {
  /** `ssdMobilenet`, `tinyFace`, or both: the next is asked when one finds no face. */
  boxes: readonly BoxNetwork[];
  /** Weights of the 68-point network. */
  landmarks: ReadonlyMap<string, Weight>;
}

/** Face detector on the networks of face-api.js: one finds boxes, another the points in each. */
export async function faceApiDetector(runtime: Runtime, { boxes, landmarks }: FaceApiNetworks): Promise<FaceDetector> {
  const boxFinders = boxes.map((network) => new BoxFinder(runtime, network));
  const landmarkFinder = new LandmarkFinder(await runtime.createSession(landmarkModel(landmarks, 2)));
  return {
    async detect(photo) {
      let found: ScoredBox[] = [];
      for (const finder of boxFinders) if (found.length === 0) found = await finder.find(photo);
      const faces: DetectedFace[] = [];
      for (const { box, score } of found) faces.push({ box, landmarks: await landmarkFinder.find(photo, box), score });
      return largestFirst(faces);
    },
    async close() {
      await Promise.all([...boxFinders, landmarkFinder].map((finder) => finder.close()));
    },
  };
}
