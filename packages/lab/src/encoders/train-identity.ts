import {
  type FaceCnnConfig,
  FrozenEncoder,
  type FrozenEncoderConfig,
  faceCnn,
  type PixelImage,
  pixelImage,
  unitRows,
} from '@unif2ace/core';
import {
  add,
  FlatState,
  float32,
  input,
  linear,
  matmul,
  mul,
  ParamScope,
  reduceMean,
  reduceSum,
  square,
  sub,
  swapLast,
  type Tensor,
} from '@unif2ace/graph';
import { type FaceRecord, loadFacesAtSizes } from '../data/celeba.ts';
import { areaUnderRoc } from '../evaluation/ranking.ts';
import type { Faces } from '../training/face-batches.ts';
import {
  dropCheckpoints,
  facesOf,
  type PhotoRecipe,
  type PhotoRun,
  photoRun,
  photosOfPart,
  trainOnPhotos,
} from '../training/photo-run.ts';
import type { RunOptions } from '../training/run-recipe.ts';
import { namedParameters } from '../training/stage.ts';
import { TrainGraph } from '../training/train-graph.ts';
import { saveSmallEncoder, smallEncoderOnnx } from './small-encoder.ts';

// B faces, F width of the embedding, T width of the teacher's

/** A small face-identity encoder, taught by a large one. */
export interface IdentityRecipe extends PhotoRecipe {
  kind: 'identity';
  name: string;
  encoder: FaceCnnConfig;
  /** Terms of the trained weights. */
  terms: string;
  /** The larger network whose embeddings are learnt: its description and its ONNX file. */
  teacher: { config: FrozenEncoderConfig; file: () => string };
}

/** Figures on test identities: how well a threshold on the cosine tells pairs of one person from pairs of two. */
export interface IdentityScore {
  verificationArea: number;
  teacherVerificationArea: number;
}

/**
 * Distils a face-identity encoder from a larger one over training identities: cosine distance of a projection to the teacher's
 * embedding, and squared difference of the cosines within the batch, so that distances between people carry over. Writes the
 * encoder as ONNX with its description. @throws DataError, TrainError
 */
export async function trainIdentity(recipe: IdentityRecipe, options: RunOptions): Promise<IdentityScore> {
  return photoRun(options, (run) => trainAndScore(recipe, run));
}

async function trainAndScore(recipe: IdentityRecipe, run: PhotoRun): Promise<IdentityScore> {
  const { encoder, augmentation, seed, training } = recipe;
  const { runtime, onEvent } = run;
  const { train, test } = await facesOf(run.dataFolder, ['train', 'test']);
  const batch = photosOfPart(recipe, run);
  const teacher = await FrozenEncoder.load(recipe.teacher.config, recipe.teacher.file(), runtime);
  const loadedSize = encoder.imageSize + 2 * augmentation.shiftPixels;
  const teacherSize = Math.round(recipe.teacher.config.input.size / recipe.teacher.config.input.crop[2]);
  onEvent({
    kind: 'stage',
    name: 'data',
    detail: `${train.length} faces, embeddings of ${teacher.config.name}`,
  });
  const [forStudent, forTeacher] = await loadFacesAtSizes(train, [loadedSize, teacherSize]);
  const faces: Faces = { size: loadedSize, data: forStudent! };
  const targets = await embeddings(teacher, { size: teacherSize, data: forTeacher! }, train.length, (done) => {
    run.signal?.throwIfAborted();
    if (done % 1000 === 0) onEvent({ kind: 'log', text: `${teacher.config.name}: ${done} of ${train.length} faces` });
  });

  const root = new ParamScope();
  const { imageSize } = encoder;
  const width = teacher.config.output.width;
  const { face_BF } = faceCnn(root.at('encoder'), encoder, input('pixels', [batch, 3, imageSize, imageSize]));
  const target_BT = input('target', [batch, width]);
  const student_BF = unitRows(face_BF);
  const projection = root
    .at('projection')
    .param('weight', [width, encoder.width], { kind: 'fanInUniform', fanIn: encoder.width });
  const cosine = reduceSum(mul(unitRows(linear(face_BF, projection)), target_BT), 1);
  const cosines = (x: Tensor) => matmul(x, swapLast(x));
  const relation = reduceMean(square(sub(cosines(student_BF), cosines(target_BT))));
  const distance = sub(1, reduceMean(cosine));
  const state = new FlatState(root.specs()).initialize(seed);
  const loss = add(distance, mul(relation, relationWeight));
  const graph = await TrainGraph.compile(loss, { distance, relation }, root, state, { runtime });
  await trainOnPhotos(recipe, run, graph, {
    stage: recipe.name,
    imageSize,
    faces,
    count: train.length,
    layout: { seed, training, encoder },
    metrics: (outputs) => ({ distance: outputs.distance![0]!, relation: outputs.relation![0]! }),
    feeds: (chosen) => {
      const target = new Float32Array(batch * width);
      chosen.forEach((face, i) => {
        target.set(targets.subarray(face * width, (face + 1) * width), i * width);
      });
      return { target: float32(target, [batch, width]) };
    },
  });

  const network = { config: encoder, weights: namedParameters(state), prefix: 'encoder' };
  const config = identityConfig(recipe);
  const onnx = smallEncoderOnnx(config, network, ({ face_BF }) => ({ embedding: face_BF }));
  const student = await FrozenEncoder.load(config, onnx, runtime);
  const score = {
    verificationArea: await verificationArea(student, encoder.imageSize, test),
    teacherVerificationArea: await verificationArea(teacher, teacherSize, test),
  };
  await Promise.all([student.release(), teacher.release()]);
  if (!run.isRoot) return score;
  await saveSmallEncoder(run.out, config, network, onnx);
  await dropCheckpoints(run);
  onEvent({ kind: 'stage', name: 'done', detail: run.out });
  return score;
}

/** The relation term is about a fiftieth of the distance. */
const relationWeight = 10;

function identityConfig({ name, encoder, terms }: IdentityRecipe): FrozenEncoderConfig {
  return {
    format: 'unif2ace-encoder-1',
    name,
    purpose: 'face',
    input: { name: 'pixels', size: encoder.imageSize, channels: 'rgb', mean: 127.5, deviation: 127.5, crop: [0, 0, 1] },
    output: { name: 'embedding', tokens: 1, width: encoder.width },
    unitLength: true,
    terms,
  };
}

/** Embeddings [N·F] of aligned faces. */
async function embeddings(
  encoder: FrozenEncoder,
  { size, data }: Faces,
  count: number,
  onFace: (done: number) => void = () => {},
): Promise<Float32Array> {
  const { width } = encoder.config.output;
  const result = new Float32Array(count * width);
  const bytes = 3 * size * size;
  for (let face = 0; face < count; face++) {
    onFace(face);
    const image: PixelImage = pixelImage(size, size, data.subarray(face * bytes, (face + 1) * bytes));
    result.set((await encoder.encode([image])).data as Float32Array, face * width);
  }
  return result;
}

/** Area under the curve of the cosine over all pairs of test faces: one person against two. */
async function verificationArea(encoder: FrozenEncoder, size: number, test: readonly FaceRecord[]): Promise<number> {
  const [data] = await loadFacesAtSizes(test, [size]);
  const all = await embeddings(encoder, { size, data: data! }, test.length);
  const { width } = encoder.config.output;
  const [scores, same]: [number[], boolean[]] = [[], []];
  for (let a = 0; a < test.length; a++)
    for (let b = a + 1; b < test.length; b++) {
      let cosine = 0;
      for (let i = 0; i < width; i++) cosine += all[a * width + i]! * all[b * width + i]!;
      scores.push(cosine);
      same.push(test[a]!.identity === test[b]!.identity);
    }
  return areaUnderRoc(scores, same);
}
