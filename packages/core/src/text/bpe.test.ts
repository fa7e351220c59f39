import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createTextTokenizer, type TokenizerJson } from './bpe.ts';

/** GPT-2's printable stand-ins: byte b is chr(b) where printable, else the next free character from 256 on. */
const standIns = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, b) =>
    (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174 ? String.fromCharCode(b) : String.fromCharCode(next++),
  );
})();

const merges: [string, string][] = [
  ['h', 'e'],
  ['l', 'l'],
  ['he', 'll'],
  ['hell', 'o'],
  ['Ġ', 'w'],
  ['e', 'n'],
  ['en', 'd'],
  ['a', 'a'],
];
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };

/** A tokenizer in GPT-2's form: bytes, merges, then "<|endoftext|>", which stands in the vocabulary and the added tokens. */
function tokenizerJson(): TokenizerJson {
  const names = [...standIns, ...merges.map((pair) => pair.join('')), '<|endoftext|>', 'PAD'];
  const end = names.length - 2;
  return {
    version: '1.0',
    added_tokens: [
      { id: end, content: '<|endoftext|>', special: true, normalized: false },
      { id: end + 1, content: 'PAD', special: true, normalized: false },
      { id: end + 2, content: '<|soi|>', special: false, normalized: true },
      { id: end + 3, content: '    ', special: false, normalized: true },
    ],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<|endoftext|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: {},
    },
    decoder: byteLevel,
    model: {
      type: 'BPE',
      unk_token: '<|endoftext|>',
      ignore_merges: true,
      vocab: Object.fromEntries(names.map((name, id) => [name, id])),
      merges,
    },
  };
}

const tokenizer = createTextTokenizer(tokenizerJson());
const end = 256 + merges.length;
/** What UTF-8 can hold of a string. */
const wellFormed = (text: string) =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(text));
const roundTrip = (text: string) => tokenizer.decode(tokenizer.encode(text));

describe('encode', () => {
  it('applies merges by rank within words, worked out by hand', () => {
    expect(tokenizer.encode('hello')).toEqual([256 + 3]);
    expect(tokenizer.encode('hello w')).toEqual([256 + 3, 256 + 4]);
    // "Ġ" + "h…" has no merge: the space stays a byte of its own
    expect(tokenizer.encode(' hello')).toEqual([32, 256 + 3]);
    expect(tokenizer.encode('aaa')).toEqual([256 + 7, 97]);
    expect(tokenizer.encode('é')).toEqual([0xc3, 0xa9]);
    expect(tokenizer.encode('')).toEqual([]);
  });

  it('keeps control tokens in a prompt as text', () => {
    for (const text of [
      '<|endoftext|>',
      'a <|endoftext|> b',
      '<|soi|>',
      'hello<|endoftext|>hello',
      '<|pad|><|t2i|>',
      'PAD',
      ' PAD PAD',
    ]) {
      const ids = tokenizer.encode(text);
      expect(Math.max(...ids), text).toBeLessThan(end);
      expect(tokenizer.decode(ids)).toBe(text);
    }
    expect(tokenizer.encode('<|endoftext|>').length).toBeGreaterThan(5);
  });

  it('keeps runs of spaces that are added tokens', () => {
    expect(tokenizer.encode('hello    hello')).toEqual([256 + 3, end + 3, 256 + 3]);
    expect(roundTrip('hello    hello')).toBe('hello    hello');
  });
});

describe('every string comes back', () => {
  it.each([
    ['empty', ''],
    ['emoji', '😀👩‍👩‍👧‍👦🏳️‍🌈'],
    ['Han', '微笑的女人,金色头发'],
    ['Arabic', 'امرأة مبتسمة'],
    ['Hindi', 'मुस्कुराती हुई महिला'],
    ['byte order mark', '\ufeffabc\ufeff'],
    ['controls and breaks', '\0\u0001\t\r\n\u0085\u2028\u3000 \u00a0 '],
    ['punctuation with spaces', 'a , b . it \'s n\'t " x "  y'],
    ['prototype names', '__proto__ constructor toString'],
  ])('%s', (_, text) => {
    expect(roundTrip(text)).toBe(text);
  });

  it('lone surrogates become U+FFFD', () => {
    expect(roundTrip('a\ud800b\udfffc')).toBe('a\ufffdb\ufffdc');
  });

  it('any Unicode, whole or broken', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => roundTrip(text) === text),
      { numRuns: 500, seed: 1 },
    );
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 60 }), (units) => {
        const text = String.fromCharCode(...units);
        return roundTrip(text) === wellFormed(text);
      }),
      { numRuns: 500, seed: 2 },
    );
  });

  it.each([
    ['one word of 100,000 letters', 'a'.repeat(1e5)],
    ['100,000 mixed characters', 'hello 世界😀  end, '.repeat(6000).slice(0, 1e5)],
    ['100,000 spaces', ' '.repeat(1e5)],
  ])('%s, in seconds', (_, text) => {
    const start = performance.now();
    expect(roundTrip(text)).toBe(wellFormed(text));
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});

describe('decode', () => {
  it('leaves control tokens out and refuses ids outside the vocabulary', () => {
    expect(tokenizer.vocabSize).toBe(end + 4);
    expect(tokenizer.decode([end, 256 + 3, end + 1, end + 2])).toBe('hello');
    expect(tokenizer.decode([end])).toBe('');
    expect(tokenizer.decode([])).toBe('');
    for (const id of [-1, 1.5, Number.NaN, end + 4])
      expect(() => tokenizer.decode([104, id])).toThrow(
        `decode: token id ${id} out of range for a vocabulary of ${end + 4}`,
      );
  });

  it('shows a character cut in half as U+FFFD and does not tidy spaces', () => {
    expect(tokenizer.decode([0xc3])).toBe('\ufffd');
    expect(roundTrip("do n't , see .")).toBe("do n't , see .");
  });
});

describe('refuses', () => {
  it('models that are no byte-level BPE', () => {
    const json = tokenizerJson();
    expect(() => createTextTokenizer({ ...json, model: { ...json.model, type: 'Unigram' } })).toThrow('got Unigram');
    expect(() => createTextTokenizer({ ...json, pre_tokenizer: { type: 'Whitespace' } })).toThrow('expected ByteLevel');
    expect(() => createTextTokenizer({} as TokenizerJson)).toThrow('expected a tokenizer.json with a BPE model');
  });

  it('a vocabulary without all bytes', () => {
    const json = tokenizerJson();
    const { Q: _, ...vocab } = json.model.vocab;
    expect(() => createTextTokenizer({ ...json, model: { ...json.model, vocab } })).toThrow(
      'expected all 256 byte tokens, got 255',
    );
  });
});
