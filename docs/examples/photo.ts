import { collect, findFace, UniF2ace } from '@unif2ace/core';
import { decodeImage, openFaceDetector } from '@unif2ace/core/node';
import { workerRuntime } from '@unif2ace/graph/node';

// From a photo on disk to a description: find the face, then describe it. Usage: photo.ts PHOTO

const path = process.argv[2];
if (path) {
  const runtime = workerRuntime();
  const model = await UniF2ace.load('pico', { runtime });
  const detector = await openFaceDetector(runtime);
  const face = await findFace(detector, await decodeImage(path), { name: path });
  console.log(await collect(model.describe(face)));
  await detector.close();
  await model.close();
  await runtime.close();
} else console.log('usage: photo.ts PHOTO');
