import { Tokenizer } from '@huggingface/tokenizers';

/** Text to token ids and back. */
export interface TextTokenizer {
  /** Ids run from 0 to vocabSize − 1. */
  readonly vocabSize: number;
  encode(text: string): number[];
  decode(ids: readonly number[]): string;
}

/** The parts of a tokenizer.json (Hugging Face tokenizers format) that matter here; the rest passes through. */
export interface TokenizerJson {
  added_tokens?: AddedTokenJson[] | null;
  normalizer?: object | null;
  pre_tokenizer?: object | null;
  post_processor?: object | null;
  decoder?: object | null;
  model: {
    type?: string;
    vocab: Record<string, number>;
    merges: string[] | [string, string][];
    [key: string]: unknown;
  };
  [key: string]: unknown;
}

export interface AddedTokenJson {
  id: number;
  content: string;
  [key: string]: unknown;
}

/** A tokenizer.json that cannot be used. */
export class TokenizerError extends Error {
  override readonly name = 'TokenizerError';
}

const byteCount = 256;

/**
 * Byte-level BPE from a parsed tokenizer.json (GPT-2, CodeGen/Phi-1.5, or one trained by `trainBpe`).
 *
 * No string is a command: control tokens such as "<|endoftext|>" are taken out before the tokenizer is built, so in a
 * prompt they become ordinary pieces, and no begin or end token is added. Runs of spaces that Phi-1.5 keeps as added
 * tokens are plain text and stay, so ids agree with the original.
 * Every string survives encode and decode, lone surrogates excepted, which become U+FFFD, as UTF-8 demands.
 * @throws TokenizerError when the file is no byte-level BPE or lacks one of the 256 byte tokens.
 */
export function createTextTokenizer(json: TokenizerJson): TextTokenizer {
  const vocab = json?.model?.vocab;
  if (json?.model?.type !== 'BPE' || typeof vocab !== 'object' || vocab === null || !Array.isArray(json.model.merges))
    throw new TokenizerError(
      `createTextTokenizer: expected a tokenizer.json with a BPE model, got ${json?.model?.type ?? 'none'}; try the file of GPT-2 or Phi-1.5`,
    );
  if (!mentionsByteLevel(json.pre_tokenizer) || !mentionsByteLevel(json.decoder))
    throw new TokenizerError(
      'createTextTokenizer: expected ByteLevel as pre_tokenizer and decoder, got another; try a byte-level BPE such as GPT-2',
    );
  const bytes = Object.keys(vocab).filter((token) => [...token].length === 1).length;
  if (bytes < byteCount)
    throw new TokenizerError(
      `createTextTokenizer: expected all ${byteCount} byte tokens, got ${bytes}; try the unpruned tokenizer.json`,
    );

  const added = json.added_tokens ?? [];
  const spaces = added.filter(({ content }) => /^\s+$/.test(content));
  const control = new Map(added.filter((token) => !spaces.includes(token)).map(({ id, content }) => [id, content]));
  // GPT-2's file lists its control token in the vocabulary too, where a tokenizer with ignore_merges would find it
  const names = new Set([...control.values()].filter((content) => content.length > 1));
  const spoken = Object.fromEntries(Object.entries(vocab).filter(([token]) => !names.has(token)));
  const tokenizer = new Tokenizer(
    {
      ...json,
      added_tokens: spaces,
      normalizer: json.normalizer ?? null,
      post_processor: null,
      model: { ...json.model, vocab: spoken, unk_token: null },
    },
    { clean_up_tokenization_spaces: false },
  );
  let vocabSize = 0;
  for (const id of [...Object.values(vocab), ...added.map((token) => token.id)])
    vocabSize = Math.max(vocabSize, id + 1);

  return {
    vocabSize,
    encode: (text) => tokenizer.encode(text, { add_special_tokens: false }).ids,
    /** Control tokens stand for no text and are left out. @throws RangeError for an id outside the vocabulary. */
    decode(ids) {
      const text: number[] = [];
      for (const id of ids) {
        if (!Number.isInteger(id) || id < 0 || id >= vocabSize)
          throw new RangeError(
            `decode: token id ${id} out of range for a vocabulary of ${vocabSize}; try removing image and control ids first`,
          );
        if (!control.has(id) && tokenizer.id_to_token(id) !== undefined) text.push(id);
      }
      return text.length === 0
        ? ''
        : tokenizer.decode(text, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
    },
  };
}

/** True for {type: 'ByteLevel'} and for a Sequence that contains it. */
function mentionsByteLevel(step: object | null | undefined): boolean {
  return step != null && JSON.stringify(step).includes('"ByteLevel"');
}
