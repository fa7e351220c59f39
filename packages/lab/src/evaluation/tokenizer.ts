import { faceCrop, psnr, type UniF2ace } from '@unif2ace/core';
import { decodeImage } from '@unif2ace/core/node';
import type { FaceRecord } from '../data/celeba.ts';

export interface TokenizerScore {
  faces: number;
  /** Mean over faces of the peak signal-to-noise ratio of the 8-bit reconstruction. */
  meanPsnrDb: number;
  /** Of the mean squared error over all faces. */
  psnrOfMeanErrorDb: number;
  codesUsed: number;
  codes: number;
}

/** Reconstructs faces and compares them with the photos at the model's size. */
export async function evaluateTokenizer(
  model: UniF2ace,
  records: readonly FaceRecord[],
  onProgress?: (done: number) => void,
): Promise<TokenizerScore> {
  const used = new Set<number>();
  let [psnrSum, errorSum] = [0, 0];
  for (const [done, record] of records.entries()) {
    const photo = faceCrop(await decodeImage(record.path), model.config.imageSize);
    const [codes] = await model.encode([photo]);
    for (const code of codes!) used.add(code);
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
    codesUsed: used.size,
    codes: 2 ** model.config.tokenizer.codeBits,
  };
}
