/** Ids that are no text: task and span marks, padding, image codes and the image mask. */
export interface SpecialTokens {
  /** Start and end of text. */
  sot: number;
  eot: number;
  pad: number;
  /** Start and end of an image. */
  soi: number;
  eoi: number;
  /** Tasks: text to image, multimodal understanding. */
  t2i: number;
  mmu: number;
  /** Image code c has the id codeOffset + c; code c of a position's group g codeOffset + g·codes + c. */
  codeOffset: number;
  /** Codes of one group. */
  codes: number;
  /** Codes of one image position. */
  codeGroups: number;
  /** A masked image code; mask + g in group g. */
  mask: number;
  vocabSize: number;
}

/** Marks that Show-o adds behind the text vocabulary, in its order (pad, soi, eoi, sov, eov, t2i, mmu, t2v, v2v, lvg). */
const markCount = 10;

/**
 * Show-o's layout behind a text vocabulary: ten marks, then the image codes, then the mask. Phi-1.5 has
 * textVocabSize 50,295 and 50,256 as both `sot` and `eot` (paper §3.2).
 */
export function showoLayout(
  textVocabSize: number,
  codes: number,
  sot: number,
  eot: number,
  codeGroups = 1,
): SpecialTokens {
  const pad = textVocabSize;
  const codeOffset = textVocabSize + markCount;
  return {
    sot,
    eot,
    pad,
    soi: pad + 1,
    eoi: pad + 2,
    t2i: pad + 5,
    mmu: pad + 6,
    codeOffset,
    codes,
    codeGroups,
    mask: codeOffset + codeGroups * codes,
    vocabSize: codeOffset + codeGroups * (codes + 1),
  };
}

/** The same layout for a tokenizer without marks of its own: `sot` and `eot` follow its vocabulary. */
export function ownLayout(tokenizerVocabSize: number, codes: number, codeGroups = 1): SpecialTokens {
  return showoLayout(tokenizerVocabSize + 2, codes, tokenizerVocabSize, tokenizerVocabSize + 1, codeGroups);
}

/** Ids of an image's codes, P positions of G codes each. */
export interface ImageIds {
  /** Of the first code of each position, [P]: what stands in the sequence. */
  first: number[];
  /** Of the other codes, [P·(G−1)], position by position: their embeddings are added to the first one's. */
  others: number[];
}

/** Ids of image codes [P·G], the codes of a position one after the other; masks where a code is negative. */
export function imageIds(layout: SpecialTokens, codes: ArrayLike<number>): ImageIds {
  const ids: ImageIds = { first: [], others: [] };
  for (let i = 0; i < codes.length; i++) {
    const group = i % layout.codeGroups;
    const id = codes[i]! < 0 ? layout.mask + group : layout.codeOffset + group * layout.codes + codes[i]!;
    (group === 0 ? ids.first : ids.others).push(id);
  }
  return ids;
}
