import type { TokenizerJson } from '@unif2ace/core';

export interface TrainBpeOptions {
  /** Tokens in all, the 256 bytes included. At least 256. */
  vocabSize: number;
  /** A pair seen less often than this is not merged, so a small corpus may end below vocabSize. Default 2. */
  minPairCount?: number;
}

export interface TrainedBpe {
  /** A standard tokenizer.json object (Hugging Face tokenizers, byte-level BPE). */
  json: TokenizerJson;
  /** At most the size asked for. */
  vocabSize: number;
  /** Plain merge-by-rank encoding; slow, kept as the oracle for tokenizers that load the JSON. */
  encode(text: string): number[];
}

/** GPT-2's split into words (Radford et al. 2019): what ByteLevel with use_regex stands for. */
const wordPattern = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** GPT-2's printable stand-in for every byte. */
const byteCharacters: readonly string[] = (() => {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();

/** Two 26-bit ids in one exact number. */
const pairKey = (left: number, right: number): number => left * 2 ** 26 + right;

interface Word {
  ids: number[];
  count: number;
}

/**
 * Trains a byte-level BPE (Sennrich et al. 2016 on bytes): repeatedly joins the most frequent neighbouring pair within
 * words. Deterministic: ties go to the smaller left id, then the smaller right id; the order of the texts has no effect.
 * @throws RangeError when vocabSize is below 256.
 */
export function trainBpe(texts: Iterable<string>, options: TrainBpeOptions): TrainedBpe {
  const { vocabSize, minPairCount = 2 } = options;
  if (!Number.isInteger(vocabSize) || vocabSize < 256 || vocabSize > 2 ** 24)
    throw new RangeError(`trainBpe: vocabSize ${vocabSize} out of range; try 256 (bytes alone) to ${2 ** 24}`);

  const tokens = [...byteCharacters].sort((a, b) => a.charCodeAt(0) - b.charCodeAt(0));
  const idOfToken = new Map(tokens.map((token, id) => [token, id]));
  const idOfByte = byteCharacters.map((character) => idOfToken.get(character)!);
  const utf8 = new TextEncoder();
  const toIds = (word: string): number[] => Array.from(utf8.encode(word), (byte) => idOfByte[byte]!);

  const words = countWords(texts).map(([word, count]): Word => ({ ids: toIds(word), count }));
  const pairs = new PairCounts(words);
  const ranks = new Map<number, number>();
  const merges: [string, string][] = [];
  while (tokens.length < vocabSize) {
    const best = pairs.mostFrequent();
    if (!best || best.count < Math.max(1, minPairCount)) break;
    const merged = tokens[best.left]! + tokens[best.right]!;
    const known = idOfToken.get(merged);
    const id = known ?? tokens.length;
    if (known === undefined) {
      tokens.push(merged);
      idOfToken.set(merged, id);
    }
    ranks.set(pairKey(best.left, best.right), merges.length);
    merges.push([tokens[best.left]!, tokens[best.right]!]);
    pairs.merge(best.left, best.right, id);
  }

  const encodeWord = (word: string): number[] => {
    let ids = toIds(word);
    for (;;) {
      let bestRank = Number.POSITIVE_INFINITY;
      for (let i = 0; i + 1 < ids.length; i++)
        bestRank = Math.min(bestRank, ranks.get(pairKey(ids[i]!, ids[i + 1]!)) ?? bestRank);
      const merge = merges[bestRank];
      if (!merge) return ids;
      ids = joinPair(ids, idOfToken.get(merge[0])!, idOfToken.get(merge[1])!, idOfToken.get(merge[0] + merge[1])!);
    }
  };
  return {
    json: toJson(tokens, merges),
    vocabSize: tokens.length,
    encode: (text) => (text.match(wordPattern) ?? []).flatMap(encodeWord),
  };
}

/** Distinct words with counts, in code-unit order, so that neither text order nor locale matters. */
function countWords(texts: Iterable<string>): [string, number][] {
  const counts = new Map<string, number>();
  for (const text of texts)
    for (const word of text.match(wordPattern) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Replaces left,right by joined, from the left, without overlap. */
function joinPair(ids: readonly number[], left: number, right: number, joined: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right) {
      out.push(joined);
      i++;
    } else out.push(ids[i]!);
  }
  return out;
}

/** Counts of neighbouring pairs, kept up to date by visiting only the words that hold the merged pair. */
class PairCounts {
  readonly #words: Word[];
  readonly #counts = new Map<number, number>();
  readonly #places = new Map<number, Set<number>>();

  constructor(words: Word[]) {
    this.#words = words;
    for (let index = 0; index < words.length; index++) this.#add(index, 1);
  }

  mostFrequent(): { left: number; right: number; count: number } | undefined {
    let bestKey = -1;
    let bestCount = 0;
    for (const [key, count] of this.#counts)
      if (count > bestCount || (count === bestCount && key < bestKey)) [bestKey, bestCount] = [key, count];
    if (bestCount === 0) return undefined;
    return { left: Math.floor(bestKey / 2 ** 26), right: bestKey % 2 ** 26, count: bestCount };
  }

  merge(left: number, right: number, joined: number): void {
    for (const index of [...(this.#places.get(pairKey(left, right)) ?? [])]) {
      this.#add(index, -1);
      const word = this.#words[index]!;
      word.ids = joinPair(word.ids, left, right, joined);
      this.#add(index, 1);
    }
  }

  #add(index: number, sign: 1 | -1): void {
    const { ids, count } = this.#words[index]!;
    for (let i = 0; i + 1 < ids.length; i++) {
      const key = pairKey(ids[i]!, ids[i + 1]!);
      const total = (this.#counts.get(key) ?? 0) + sign * count;
      if (total > 0) this.#counts.set(key, total);
      else this.#counts.delete(key);
      const places = this.#places.get(key) ?? new Set();
      this.#places.set(key, places);
      if (sign > 0) places.add(index);
      else places.delete(index);
    }
  }
}

function toJson(tokens: readonly string[], merges: [string, string][]): TokenizerJson {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}
