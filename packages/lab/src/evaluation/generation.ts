import { faceCrop, type PixelImage, pixelImage, type UniF2ace } from '@unif2ace/core';
import { decodeImage } from '@unif2ace/core/node';
import { Philox, streamFromName } from '@unif2ace/graph';
import { type FaceRecord, loadFacesAtSizes } from '../data/celeba.ts';
import { promptCaption } from '../data/grammar/caption.ts';
import { bootstrap, type Interval } from '../data/review/bootstrap.ts';
import type { Faces } from '../training/face-batches.ts';
import { attributePrompts, type JudgedAttribute, judgedAttributes } from './attribute-prompts.ts';
import { type FeatureMatrix, featureStatistics, frechetDistance } from './frechet.ts';
import { facesOf, type Judge, type Judgement } from './judge.ts';
import { type KernelDistance, kernelDistance } from './kid.ts';
import { type NearnessReport, type Neighbour, nearestRows, nearness, type Rows } from './neighbours.ts';
import { areaUnderRoc } from './ranking.ts';

export interface GenerationSettings {
  /** Faces made from captions of test faces; about as many again are made for the attributes. */
  faces: number;
  seed: number;
  steps: number;
  guidance: number;
  temperature: number;
  /** Faces made for each, of which the model keeps one. Default 1. */
  candidates?: number;
  /** Whether the model reads the whole prompt. Default: it does. */
  fits?: (prompt: string) => boolean;
  /** What is being done, and how far it is. May throw to stop. */
  onProgress?: (what: string, done: number, total: number) => void;
  signal?: AbortSignal;
}

export interface AttributeRecovery {
  attribute: JudgedAttribute;
  /** Of faces whose prompt states the attribute against faces whose prompt states the opposite. */
  areaUnderRoc: number;
  interval: Interval | null;
  /** Of faces made from captions: those that state the attribute against those of faces without it. Null where there are none of a kind. */
  inCaptions: number | null;
  /** Of the photos of the test faces, by their labels: as well as the judge can tell. */
  photos: number | null;
}

export interface FrechetReport {
  generated: number;
  /** As many training faces against the same test faces: mean, lowest and highest of `draws` random choices. */
  floor: { mean: number; lowest: number; highest: number; draws: number };
  /** generated / mean floor. */
  ratio: number;
  /** Training faces that went through the tokenizer alone: what generation could reach at best. */
  reconstructed: number;
}

export interface GenerationReport {
  faces: number;
  /** Prompts of each kind for each attribute. */
  pairs: number;
  testFaces: number;
  trainingFaces: number;
  attributes: AttributeRecovery[];
  meanAreaUnderRoc: number;
  meanInterval: Interval | null;
  frechet: FrechetReport;
  /** Kernel distance to the test faces, without `each`. */
  kernel: { generated: Omit<KernelDistance, 'each'>; floor: Omit<KernelDistance, 'each'> };
  nearest: { features: NearnessReport; pixels: NearnessReport };
}

export interface GenerationResult {
  report: GenerationReport;
  /** The first faces made, uncurated. */
  samples: PixelImage[];
  /** The generated faces nearest to a training face, nearest first, with that face; by features and by pixels. */
  nearestPairs: Record<'features' | 'pixels', { generated: PixelImage; training: PixelImage }[]>;
}

const floorDraws = 5;
const pixelSize = 32;
const sampleCount = 64;
const pairCount = 16;
const kernelSubset = { subsets: 100, subsetSize: 250 };

/**
 * Measures generation by a judge. Test faces and training faces are photos of other people; the judge and the model were
 * trained on training identities alone.
 * @throws RangeError when there are fewer training faces than `faces`, or too few test faces to write prompts from.
 */
export async function evaluateGeneration(
  model: UniF2ace,
  judge: Judge,
  records: { test: readonly FaceRecord[]; train: readonly FaceRecord[] },
  settings: GenerationSettings,
): Promise<GenerationResult> {
  const { test, train } = records;
  const { faces: count, seed } = settings;
  if (test.length < 2 || train.length < count || count < 2)
    throw new RangeError(
      `evaluateGeneration: expected at least 2 faces, 2 test faces and ${count} training faces, got ${count}, ${test.length} and ${train.length}; try fewer faces`,
    );
  const progress = (what: string, total: number) => (done: number) => settings.onProgress?.(what, done, total);

  const labels = test.map(({ attributes }) => attributes);
  const order = new Philox(seed, ...streamFromName('test faces')).shuffle([...test.keys()]);
  const prompted = Array.from({ length: count }, (_, i) => order[i % order.length]!);
  const captions = prompted.map((face, i) =>
    promptCaption(labels[face]!, new Philox(seed, ...streamFromName('captions'), i)),
  );
  const pairs = Math.max(2, Math.ceil(count / (2 * judgedAttributes.length)));
  const asked = judgedAttributes.map((attribute) => {
    const made = attributePrompts(attribute, labels, pairs, settings);
    return [...made.map(({ stated }) => stated), ...made.map(({ opposite }) => opposite)];
  });
  const images = await generateAll(model, [...captions.map(({ text }) => text), ...asked.flat()], settings);

  const photos = async (what: string, of: readonly FaceRecord[]) => {
    const [judged, small] = await loadFacesAtSizes(of, [judge.size, pixelSize], {
      onProgress: progress(what, of.length),
    });
    return { faces: { size: judge.size, data: judged! }, small: asRows(small!, pixelSize) };
  };
  const testPhotos = await photos('test photos', test);
  const trainPhotos = await photos('training photos', train);
  const look = (what: string, faces: Faces, total: number, mirrored = false) =>
    judge.look(faces, { mirrored, onProgress: progress(what, total) });
  const generatedFaces = facesOf(images.slice(0, count), judge.size);
  const generated = await look('judging faces', generatedFaces, count);
  const forAttributes = await look('judging faces', facesOf(images.slice(count), judge.size), images.length - count);
  const testSeen = await look('judging test photos', testPhotos.faces, test.length);
  const trainSeen = await look('judging training photos', trainPhotos.faces, train.length);

  const recovery = judgedAttributes.map((attribute, a): AttributeRecovery & { scored: Scored[] } => {
    const scores = judge.scores(forAttributes, attribute).subarray(2 * pairs * a, 2 * pairs * (a + 1));
    const scored = Array.from({ length: pairs }, (_, i): Scored => [scores[i]!, scores[pairs + i]!]);
    const captioned = prompted.flatMap((face, i) =>
      captions[i]!.stated[attribute] === true || !labels[face]![attribute] ? [i] : [],
    );
    const captionScores = judge.scores(generated, attribute);
    return {
      attribute,
      areaUnderRoc: areaOfPairs(scored)!,
      interval: bootstrap(scored, areaOfPairs, { seed, resamples: 1000 }),
      inCaptions: defined(
        areaUnderRoc(
          captioned.map((i) => captionScores[i]!),
          captioned.map((i) => captions[i]!.stated[attribute] === true),
        ),
      ),
      photos: defined(
        areaUnderRoc(
          judge.scores(testSeen, attribute),
          labels.map((facts) => facts[attribute]),
        ),
      ),
      scored,
    };
  });
  const meanArea = (rows: readonly number[]) =>
    recovery.reduce((sum, { scored }) => sum + areaOfPairs(rows.map((i) => scored[i]!))!, 0) / recovery.length;
  const everyPair = [...Array(pairs).keys()];

  const testStatistics = featureStatistics(testSeen.features);
  const draws = Array.from({ length: floorDraws }, (_, i) =>
    new Philox(seed, ...streamFromName('floor'), i).shuffle([...train.keys()]).slice(0, count),
  );
  const chosen = (rows: readonly number[]) => selected(trainSeen.features, rows);
  const floors = draws.map((rows) => frechetDistance(featureStatistics(chosen(rows)), testStatistics));
  const meanFloor = floors.reduce((a, b) => a + b, 0) / floorDraws;
  const toTest = (features: FeatureMatrix) => frechetDistance(featureStatistics(features), testStatistics);
  const generatedDistance = toTest(generated.features);
  const rebuilt = await reconstructed(
    model,
    draws[0]!.map((i) => train[i]!),
    judge,
    settings,
  );

  const nearestBy = await nearestTraining(
    {
      faces: generatedFaces,
      seen: generated,
      small: asRows(facesOf(images.slice(0, count), pixelSize).data, pixelSize),
    },
    { faces: testPhotos.faces, seen: testSeen, small: testPhotos.small },
    { seen: trainSeen, small: trainPhotos.small },
    judge,
    settings,
  );
  const pairsOf = (neighbours: readonly Neighbour[]) =>
    [...neighbours.keys()]
      .sort((a, b) => neighbours[a]!.distance - neighbours[b]!.distance)
      .slice(0, pairCount)
      .map((i) => ({
        generated: pictureOf(generatedFaces, i),
        training: pictureOf(trainPhotos.faces, neighbours[i]!.index),
      }));
  const kernelTo = (features: FeatureMatrix) => {
    const subsetSize = Math.min(kernelSubset.subsetSize, features.rows, testSeen.features.rows);
    const { mean, std } = kernelDistance(features, testSeen.features, { ...kernelSubset, subsetSize, seed });
    return { mean, std };
  };
  return {
    report: {
      faces: count,
      pairs,
      testFaces: test.length,
      trainingFaces: train.length,
      attributes: recovery.map(({ scored: _, ...rest }) => rest),
      meanAreaUnderRoc: meanArea(everyPair),
      meanInterval: bootstrap(everyPair, meanArea, { seed, resamples: 1000 }),
      frechet: {
        generated: generatedDistance,
        floor: { mean: meanFloor, lowest: Math.min(...floors), highest: Math.max(...floors), draws: floorDraws },
        ratio: generatedDistance / meanFloor,
        reconstructed: toTest(rebuilt),
      },
      kernel: { generated: kernelTo(generated.features), floor: kernelTo(chosen(draws[0]!)) },
      nearest: nearestBy.report,
    },
    samples: images.slice(0, Math.min(sampleCount, count)),
    nearestPairs: { features: pairsOf(nearestBy.features), pixels: pairsOf(nearestBy.pixels) },
  };
}

/** Scores of the face whose prompt states the attribute and of its opposite. */
type Scored = readonly [stated: number, opposite: number];

function areaOfPairs(pairs: readonly Scored[]): number | null {
  return areaUnderRoc(
    [...pairs.map(([stated]) => stated), ...pairs.map(([, opposite]) => opposite)],
    [...pairs.map(() => true), ...pairs.map(() => false)],
  );
}

const defined = (value: number) => (Number.isNaN(value) ? null : value);

const asRows = (data: Uint8Array, size: number): Rows => {
  const columns = 3 * size * size;
  return { data, rows: data.length / columns, columns };
};

async function generateAll(model: UniF2ace, prompts: string[], settings: GenerationSettings): Promise<PixelImage[]> {
  const { seed, steps, guidance, temperature, candidates = 1, signal } = settings;
  const sampling = { seed, steps, guidance, temperature, candidates };
  const running = model.generateEach(prompts, { ...sampling, ...(signal && { signal }) });
  let next = await running.next();
  for (; !next.done; next = await running.next()) {
    const { step, images } = next.value;
    if (step === 1) settings.onProgress?.('faces', images[0]!, prompts.length);
  }
  return next.value;
}

/** The judge's features of photos after tokenizer and back. */
async function reconstructed(
  model: UniF2ace,
  records: readonly FaceRecord[],
  judge: Judge,
  settings: GenerationSettings,
): Promise<FeatureMatrix> {
  const images: PixelImage[] = [];
  for (const record of records) {
    settings.onProgress?.('reconstructions', images.length, records.length);
    images.push(await model.reconstruct(faceCrop(await decodeImage(record.path), model.config.imageSize)));
  }
  return (await judge.look(facesOf(images, judge.size))).features;
}

function selected({ data, columns }: FeatureMatrix, rows: readonly number[]): FeatureMatrix {
  const picked = new Float32Array(rows.length * columns);
  for (const [to, from] of rows.entries())
    picked.set(data.subarray(from * columns, (from + 1) * columns), to * columns);
  return { data: picked, rows: rows.length, columns };
}

interface SeenFaces {
  faces: Faces;
  seen: Judgement;
  small: Rows;
}

/** Nearest training face of generated and of test faces, each as it is and mirrored, by the judge's features and by pixels. */
async function nearestTraining(
  generated: SeenFaces,
  test: SeenFaces,
  train: Omit<SeenFaces, 'faces'>,
  judge: Judge,
  settings: GenerationSettings,
) {
  const both = async (what: string, plain: Rows, mirrored: Rows, gallery: Rows): Promise<Neighbour[]> => {
    const note = (done: number) => settings.onProgress?.(what, done, plain.rows);
    const first = await nearestRows(plain, gallery, note);
    const second = await nearestRows(mirrored, gallery, note);
    return first.map((neighbour, i) => (second[i]!.distance < neighbour.distance ? second[i]! : neighbour));
  };
  const byFeatures = async ({ faces, seen }: SeenFaces, what: string) => {
    const mirrored = await judge.look(faces, { mirrored: true });
    return both(`${what} by features`, seen.features, mirrored.features, train.seen.features);
  };
  const byPixels = ({ small }: SeenFaces, what: string) =>
    both(`${what} by pixels`, small, mirroredRows(small, pixelSize), train.small);
  const found = {
    features: await byFeatures(generated, 'nearest of faces'),
    pixels: await byPixels(generated, 'nearest of faces'),
  };
  const known = {
    features: await byFeatures(test, 'nearest of test photos'),
    pixels: await byPixels(test, 'nearest of test photos'),
  };
  const report = (kind: 'features' | 'pixels', scale = 1) =>
    nearness(
      found[kind].map(({ distance }) => distance * scale),
      known[kind].map(({ distance }) => distance * scale),
    );
  // root mean square over the values, in steps of 0 to 255
  const perValue = 1 / Math.sqrt(train.small.columns);
  return { ...found, report: { features: report('features'), pixels: report('pixels', perValue) } };
}

/** RGB rows [N, S, S, 3] mirrored. */
function mirroredRows({ data, rows, columns }: Rows, size: number): Rows {
  const out = new Uint8Array(rows * columns);
  for (let line = 0; line < rows * size; line++)
    for (let x = 0; x < size; x++)
      for (let c = 0; c < 3; c++) out[(line * size + x) * 3 + c] = data[(line * size + size - 1 - x) * 3 + c]!;
  return { data: out, rows, columns };
}

function pictureOf({ size, data }: Faces, index: number): PixelImage {
  return pixelImage(size, size, data.slice(index * 3 * size * size, (index + 1) * 3 * size * size));
}
