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
  /** Image code c has the id codeOffset + c. */
  codeOffset: number;
  codes: number;
  /** A masked image token. */
  mask: number;
  vocabSize: number;
}

/** Marks that Show-o adds behind the text vocabulary, in its order (pad, soi, eoi, sov, eov, t2i, mmu, t2v, v2v, lvg). */
const markCount = 10;

/**
 * Show-o's layout behind a text vocabulary: ten marks, then the image codes, then the mask. Phi-1.5 has
 * textVocabSize 50,295 and 50,256 as both `sot` and `eot` (paper §3.2).
 */
export function showoLayout(textVocabSize: number, codes: number, sot: number, eot: number): SpecialTokens {
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
    mask: codeOffset + codes,
    vocabSize: codeOffset + codes + 1,
  };
}

/** The same layout for a tokenizer without marks of its own: `sot` and `eot` follow its vocabulary. */
export function ownLayout(tokenizerVocabSize: number, codes: number): SpecialTokens {
  return showoLayout(tokenizerVocabSize + 2, codes, tokenizerVocabSize, tokenizerVocabSize + 1);
}
