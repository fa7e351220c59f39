import { faceCrop, layoutOf, psnr, type UniF2ace } from '@unif2ace/core';
import { decodeImage } from '@unif2ace/core/node';
import type { FaceRecord } from '../data/celeba.ts';
import { structuralSimilarity } from './ssim.ts';

export interface TokenizerScore {
  faces: number;
  /** Mean over faces of the peak signal-to-noise ratio of the 8-bit reconstruction. */
  meanPsnrDb: number;
  /** Of the mean squared error over all faces. */
  psnrOfMeanErrorDb: number;
  /** Mean over faces of the structural similarity. */
  meanSsim: number;
  /** Codes in use, of each of a position's codebooks. */
  codesUsed: number[];
  /** exp(entropy) of the codes' frequencies, of each codebook: as many codes as, equally frequent, would say as much. */
  codePerplexity: number[];
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
  const counts = Array.from({ length: codeGroups }, () => new Float64Array(size));
  let [psnrSum, errorSum, ssimSum] = [0, 0, 0];
  for (const [done, record] of records.entries()) {
    const photo = faceCrop(await decodeImage(record.path), model.config.imageSize);
    const [codes] = await model.encode([photo]);
    codes!.forEach((code, i) => {
      counts[i % codeGroups]![code]!++;
    });
    const [image] = await model.decode([codes!]);
    const db = psnr(photo, image!);
    psnrSum += db;
    errorSum += 10 ** (-db / 10);
    ssimSum += structuralSimilarity(photo, image!);
    onProgress?.(done + 1);
  }
  return {
    faces: records.length,
    meanPsnrDb: psnrSum / records.length,
    psnrOfMeanErrorDb: -10 * Math.log10(errorSum / records.length),
    meanSsim: ssimSum / records.length,
    codesUsed: counts.map((codebook) => codebook.filter((count) => count > 0).length),
    codePerplexity: counts.map(perplexity),
    codes: size,
  };
}

function perplexity(counts: Float64Array): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const entropy = counts.reduce((sum, count) => sum - (count > 0 ? (count / total) * Math.log(count / total) : 0), 0);
  return Math.exp(entropy);
}
