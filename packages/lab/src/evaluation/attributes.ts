import { type AttributeClassifierConfig, attributeLogits, attributeModel } from '@unif2ace/core';
import { buildModel, input, ParamScope, type Runtime } from '@unif2ace/graph';
import { type FaceRecord, loadFaces } from '../data/celeba.ts';
import type { CelebaName } from '../data/grammar/attributes.ts';
import { facePixels } from '../training/face-batches.ts';
import { areaUnderRoc, balancedAccuracy, calibrationError } from './ranking.ts';

/** Figures of one attribute; null where all faces are alike, so that there is nothing to tell apart. */
interface AttributeFigures {
  /** Share of the faces that have it. */
  share: number;
  areaUnderRoc: number | null;
  calibrationError: number;
  /** Taken as present from a probability of ½. */
  balancedAtHalf: number | null;
  /** Taken as present from a probability of its frequency among other identities: for a calibrated one, the best there is. */
  balancedAtFrequency: number | null;
}

export interface AttributeScore {
  faces: number;
  /** Means over the attributes that differ among the faces; the calibration error's over all. */
  meanAreaUnderRoc: number;
  meanCalibrationError: number;
  meanBalancedAtHalf: number;
  meanBalancedAtFrequency: number;
  attributes: Record<string, AttributeFigures>;
}

const batch = 64;

/** Rows [A] of a classifier's logits or probabilities, one for each face, centred. */
export async function attributeOutputs(
  config: AttributeClassifierConfig,
  weights: ReadonlyMap<string, Float32Array>,
  records: readonly FaceRecord[],
  runtime: Runtime,
  output: 'logits' | 'probabilities',
  onProgress?: (done: number) => void,
): Promise<Float32Array[]> {
  const { imageSize } = config.encoder;
  const pixels = input('pixels', [batch, 3, imageSize, imageSize]);
  const model =
    output === 'probabilities'
      ? attributeModel(config, weights, batch)
      : buildModel({ logits: attributeLogits(new ParamScope(), config, pixels) }, { parameters: weights });
  const session = await runtime.createSession(model);
  const rows: Float32Array[] = [];
  const width = config.attributes.length;
  try {
    const faces = { size: imageSize, data: await loadFaces(records, imageSize) };
    for (let first = 0; first < records.length; first += batch) {
      const chosen = Array.from({ length: batch }, (_, i) => Math.min(first + i, records.length - 1));
      const result = await session.run({ pixels: facePixels(faces, chosen, []) });
      const data = result[output]!.data as Float32Array;
      for (let i = 0; i < batch && first + i < records.length; i++) rows.push(data.slice(i * width, (i + 1) * width));
      onProgress?.(rows.length);
    }
  } finally {
    await session.release();
  }
  return rows;
}

/**
 * Measures a classifier on faces of identities that it was not trained on. `others` are faces of other identities: the
 * frequencies in their labels are thresholds that know nothing of the faces measured.
 */
export async function evaluateAttributes(
  config: AttributeClassifierConfig,
  weights: ReadonlyMap<string, Float32Array>,
  { faces, others }: { faces: readonly FaceRecord[]; others: readonly FaceRecord[] },
  runtime: Runtime,
  onProgress?: (done: number) => void,
): Promise<AttributeScore> {
  const rows = await attributeOutputs(config, weights, faces, runtime, 'probabilities', onProgress);
  const shareOf = (records: readonly FaceRecord[], name: string) =>
    records.filter(({ attributes }) => attributes[name as CelebaName]).length / records.length;
  const attributes = Object.fromEntries(
    config.attributes.map((name, a): [string, AttributeFigures] => {
      const scores = rows.map((row) => row[a]!);
      const truth = faces.map((face) => face.attributes[name as CelebaName]);
      return [
        name,
        {
          share: shareOf(faces, name),
          areaUnderRoc: numberOrNull(areaUnderRoc(scores, truth)),
          calibrationError: calibrationError(scores, truth),
          balancedAtHalf: numberOrNull(balancedAccuracy(scores, truth, 0.5)),
          balancedAtFrequency: numberOrNull(balancedAccuracy(scores, truth, shareOf(others, name))),
        },
      ];
    }),
  );
  const mean = (figure: keyof AttributeFigures) => {
    const known = Object.values(attributes).flatMap((figures) => figures[figure] ?? []);
    return known.reduce((sum, value) => sum + value, 0) / known.length;
  };
  return {
    faces: faces.length,
    meanAreaUnderRoc: mean('areaUnderRoc'),
    meanCalibrationError: mean('calibrationError'),
    meanBalancedAtHalf: mean('balancedAtHalf'),
    meanBalancedAtFrequency: mean('balancedAtFrequency'),
    attributes,
  };
}

const numberOrNull = (value: number): number | null => (Number.isNaN(value) ? null : value);
