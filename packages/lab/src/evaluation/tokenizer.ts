import { faceCrop, layoutOf, psnr, type UniF2ace } from '@unif2ace/core';
import { decodeImage } from '@unif2ace/core/node';
import type { FaceRecord } from '../data/celeba.ts';

export interface TokenizerScore {
  faces: number;
  /** Mean over faces of the peak signal-to-noise ratio of the 8-bit reconstruction. */
  meanPsnrDb: number;
  /** Of the mean squared error over all faces. */
  psnrOfMeanErrorDb: number;
  /** Codes in use, of each of a position's codebooks. */
  codesUsed: number[];
  /** Codes of one codebook. */
  codes: number;
}

/** Reconstructs faces and compares them with the photos at the model's size. */
export async function evaluateTokenizer(
  model: UniF2ace,
  records: readonly FaceRecord[],
  onProgress?: (done: number) => void,
): Promise<TokenizerScore> {
  const { codes: size, codeGroups } = layoutOf(model.config);
  const used = Array.from({ length: codeGroups }, () => new Set<number>());
  let [psnrSum, errorSum] = [0, 0];
  for (const [done, record] of records.entries()) {
    const photo = faceCrop(await decodeImage(record.path), model.config.imageSize);
    const [codes] = await model.encode([photo]);
    codes!.forEach((code, i) => {
      used[i % codeGroups]!.add(code);
    });
    const [image] = await model.decode([codes!]);
    const db = psnr(photo, image!);
    psnrSum += db;
    errorSum += 10 ** (-db / 10);
    onProgress?.(done + 1);
  }
  return {
    faces: records.length,
    meanPsnrDb: psnrSum / records.length,
    psnrOfMeanErrorDb: -10 * Math.log10(errorSum / records.length),
    codesUsed: used.map((codebook) => codebook.size),
    codes: size,
  };
}
