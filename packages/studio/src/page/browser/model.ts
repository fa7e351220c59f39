import {
  attributeFiles,
  Downloads,
  type FaceDetector,
  faceApiDetector,
  type LoadProgress,
  modelFiles,
  predictedMemoryBytes,
  readAttributeClassifier,
  readModel,
  readModelConfig,
  readTfjsWeights,
  tinyFace,
} from '@unif2ace/core';
import type { Runtime } from '@unif2ace/graph';
import { engineFile, openRuntime, usableDevice } from '@unif2ace/graph/web';
import { LocalEngine } from '../../server/local-engine.ts';
import type { ModelAddresses, Prediction, WantedDevice } from './protocol.ts';

/** Networks of face-api.js that find a face and its points: half a megabyte. */
const faceNetworks = { boxes: 'tiny_face_detector_model', landmarks: 'face_landmark_68_model' } as const;

function faceFiles(name: string): [manifest: string, weights: string] {
  return [`${name}-weights_manifest.json`, `${name}.bin`];
}

/** Everything that the page loads, with its sizes asked for. */
async function planned(
  addresses: ModelAddresses,
  device: WantedDevice,
  onProgress?: (progress: LoadProgress) => void,
): Promise<Downloads> {
  const downloads = new Downloads(onProgress);
  await downloads.plan([
    ...Object.values(modelFiles).map((file) => new URL(file, addresses.model)),
    ...Object.values(attributeFiles).map((file) => new URL(file, addresses.attributes)),
    ...Object.values(faceNetworks).flatMap((name) => faceFiles(name).map((file) => new URL(file, addresses.faces))),
    engineFile(await usableDevice(device)),
  ]);
  return downloads;
}

/** What loading would take; of the files only the model's description is read. */
export async function predict(addresses: ModelAddresses, device: WantedDevice): Promise<Prediction> {
  const downloads = await planned(addresses, device);
  const { prediction } = downloads;
  const config = await readModelConfig(downloads.source(new URL(addresses.model)));
  return { ...prediction, memoryBytes: predictedMemoryBytes(config) };
}

export interface OpenOptions {
  onProgress: (progress: LoadProgress) => void;
  onFallback: (device: string, reason: string) => void;
}

/** Model, classifier, face search and engine, all of it loaded: nothing is fetched later. @throws ModelError */
export async function openEngine(
  addresses: ModelAddresses,
  wanted: WantedDevice,
  { onProgress, onFallback }: OpenOptions,
): Promise<{ engine: LocalEngine; reason: string }> {
  const downloads = await planned(addresses, wanted, onProgress);
  const source = (base: string) => downloads.source(new URL(base));
  const model = await readModel(source(addresses.model));
  const classifier = await readAttributeClassifier(source(addresses.attributes));
  const faces = source(addresses.faces);
  const weightsOf = async (name: string) => {
    const [manifest, bytes] = await Promise.all(faceFiles(name).map((file) => faces.read(file)));
    return readTfjsWeights(name, JSON.parse(new TextDecoder().decode(manifest)), bytes!);
  };
  const [boxes, landmarks] = [await weightsOf(faceNetworks.boxes), await weightsOf(faceNetworks.landmarks)];
  const findFaces = (runtime: Runtime): Promise<FaceDetector> =>
    faceApiDetector(runtime, { boxes: [tinyFace(boxes)], landmarks });
  const fetchFile = (file: URL) => downloads.get(file);
  const { runtime, reason } = await openRuntime(wanted, { fetchFile, onFallback });
  return { engine: new LocalEngine(model, classifier, runtime, findFaces), reason };
}
