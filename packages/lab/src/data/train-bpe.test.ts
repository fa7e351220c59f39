import { createTextTokenizer, type TokenizerJson } from '@unif2ace/core';
import { Philox } from '@unif2ace/graph';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AttributeName, attributeNames } from './grammar/attributes.ts';
import { captionFace } from './grammar/caption.ts';
import { trainBpe } from './train-bpe.ts';

const captions = Array.from({ length: 1500 }, (_, i) => {
  const random = new Philox(i, 9);
  const labels = Object.fromEntries(attributeNames.map((name) => [name, random.uniform() < 0.4])) as Record<
    AttributeName,
    boolean
  >;
  return captionFace(labels, random).text;
});
const trained = trainBpe(captions, { vocabSize: 400 });
/** As a file holds it. */
const reloaded = createTextTokenizer(JSON.parse(JSON.stringify(trained.json)) as TokenizerJson);

describe('trainBpe', () => {
  it('learns the textbook merges (Sennrich et al. 2016, counts by hand)', () => {
    // low ×5, lower ×2, newest ×6, widest ×3: "es" 9, then "est" 9, then "lo" 7, "low" 7
    const texts = [
      ...Array(5).fill('low'),
      ...Array(2).fill('lower'),
      ...Array(6).fill('newest'),
      ...Array(3).fill('widest'),
    ];
    const { json } = trainBpe(texts, { vocabSize: 260 });
    const merges = (json.model.merges as [string, string][]).map((pair) => pair.join('+'));
    expect(merges).toEqual(['e+s', 'es+t', 'l+o', 'lo+w']);
  });

  it('settles a tie by the smaller ids', () => {
    // Four pairs, twice each: x+b, b+a, z+a, a+b
    const { json } = trainBpe(['xba', 'zab', 'xba', 'zab'], { vocabSize: 257 });
    expect(json.model.merges).toEqual([['a', 'b']]);
  });

  it('gives the asked size, stops when pairs run out, and refuses fewer than the bytes', () => {
    expect(trained.vocabSize).toBe(400);
    expect(Object.keys(trained.json.model.vocab).length).toBe(400);
    expect(trainBpe(['ab'], { vocabSize: 999 }).vocabSize).toBe(256);
    expect(trainBpe(['ab'], { vocabSize: 999, minPairCount: 1 }).vocabSize).toBe(257);
    expect(trainBpe([], { vocabSize: 300 }).vocabSize).toBe(256);
    expect(() => trainBpe([], { vocabSize: 255 })).toThrow('trainBpe: vocabSize 255 out of range');
  });

  it('depends on the texts, not on their order', () => {
    const shuffled = new Philox(3).shuffle([...captions]);
    expect(JSON.stringify(trainBpe(shuffled, { vocabSize: 400 }).json)).toBe(JSON.stringify(trained.json));
    expect(JSON.stringify(trainBpe(captions.slice(700), { vocabSize: 400 }).json)).not.toBe(
      JSON.stringify(trained.json),
    );
  });

  it('compresses captions to one token a word or mark', () => {
    const { encode } = trainBpe(captions, { vocabSize: 640 });
    const words = captions.flatMap((text) => text.match(/[a-z]+|[^a-z\s]/gi) ?? []).length;
    const tokens = captions.reduce((sum, text) => sum + encode(text).length, 0);
    expect(tokens / words).toBeLessThan(1.05);
  });
});

describe('the tokenizer.json', () => {
  it('gives the ids of the trainer’s own encoder in @huggingface/tokenizers', () => {
    expect(reloaded.vocabSize).toBe(400);
    for (const text of captions.slice(0, 300)) expect(reloaded.encode(text)).toEqual(trained.encode(text));
  });

  it('agrees on any text, and brings it back', () => {
    const words = fc.constantFrom(...captions.slice(0, 40).flatMap((text) => text.split(/(?<= )/)));
    const any = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.array(words, { maxLength: 12 }).map((list) => list.join('')),
      fc.string({ unit: fc.constantFrom('a', 's', 'e', 't', ' ', "'", '1'), maxLength: 40 }),
    );
    fc.assert(
      fc.property(any, (text) => {
        const ids = trained.encode(text);
        expect(reloaded.encode(text)).toEqual(ids);
        expect(reloaded.decode(ids)).toBe(text);
      }),
      { numRuns: 600, seed: 4 },
    );
  });
});
