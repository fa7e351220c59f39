import { Philox } from '@unif2ace/graph';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { differenceHash, hammingDistance, hashBits, NearDuplicates } from './duplicates.ts';
import { mergeFacts } from './face-facts.ts';
import { GrammarCaptioner, GrammarQuestionWriter, promptsFor } from './grammar-writers.ts';
import { canonicalJson, stageKey } from './keys.ts';
import { splitOf } from './splits.ts';
import type { DatasetRecord } from './types.ts';
import { questionFault, textFault, validateRecord } from './validate.ts';

describe('keys', () => {
  test('depend on version, inputs and their borders, not on the order of fields', () => {
    expect(stageKey('a', '1', { x: 1, y: 2 })).toBe(stageKey('a', '1', { y: 2, x: 1 }));
    const keys = [
      stageKey('a', '1', 'bc', 'd'),
      stageKey('a', '1', 'b', 'cd'),
      stageKey('a', '2', 'bc', 'd'),
      stageKey('b', '1', 'bc', 'd'),
      stageKey('a', '1', new Uint8Array([1]), 'd'),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(canonicalJson({ b: [{ d: 1, c: 2 }], a: undefined })).toBe('{"b":[{"c":2,"d":1}]}');
  });
});

describe('near duplicates', () => {
  const random = new Philox(4);
  const hash = () => Array.from({ length: hashBits / 4 }, () => random.int(16).toString(16)).join('');
  const flip = (of: string, bits: number) => {
    const places = random.shuffle(Array.from({ length: hashBits }, (_, i) => i)).slice(0, bits);
    const digits = [...of].map((digit) => Number.parseInt(digit, 16));
    for (const place of places) digits[place >> 2]! ^= 1 << (place & 3);
    return digits.map((digit) => digit.toString(16)).join('');
  };

  test('are found up to the bound and not beyond, wherever the bits differ', () => {
    const index = new NearDuplicates<number>(20);
    const hashes = Array.from({ length: 300 }, hash);
    hashes.forEach((of, i) => {
      index.add(of, i);
    });
    for (let round = 0; round < 300; round++) {
      const bits = random.int(21);
      const near = flip(hashes[round]!, bits);
      expect(hammingDistance(near, hashes[round]!)).toBe(bits);
      expect(index.find(near)).toBe(round);
      expect(index.find(flip(hashes[round]!, 21))).toBeUndefined();
    }
  });

  test('the hash follows the brightness, not its level', () => {
    const luma = Array.from({ length: 17 * 16 }, () => random.uniform() * 200);
    const brighter = luma.map((value) => 0.8 * value + 30);
    expect(differenceHash(luma)).toMatch(/^[0-9a-f]{64}$/);
    expect(differenceHash(brighter)).toBe(differenceHash(luma));
  });
});

describe('facts', () => {
  test('labels stand; the classifier speaks where they are silent and it is sure', () => {
    const { facts, factSources } = mergeFacts(
      { Male: true, Smiling: false },
      { Smiling: 0.99, Eyeglasses: 0.93, Wearing_Hat: 0.02, Bangs: 0.5, Attractive: 1 },
    );
    expect(facts).toEqual({ Male: true, Smiling: false, Eyeglasses: true, Wearing_Hat: false });
    expect(factSources.Smiling).toEqual({ from: 'label', probability: 1 });
    expect(factSources.Eyeglasses).toEqual({ from: 'classifier', probability: 0.93 });
    expect(factSources.Wearing_Hat).toEqual({ from: 'classifier', probability: 0.98 });
  });
});

describe('validation', () => {
  const facts = { Male: false, Smiling: true, Black_Hair: true, Eyeglasses: false };

  test.each([
    ['A smiling woman with black hair, without glasses.', undefined],
    ['A man.', 'expected Male to be false, got true'],
    ['She is wearing glasses.', 'expected Eyeglasses to be false, got true'],
    ['She is wearing a hat.', 'expected evidence for Wearing_Hat, got none'],
    ['An Asian woman.', 'expected no word about race, got "Asian"'],
    ['A beautiful woman.', 'expected no judgement of looks, got "beautiful"'],
    ['A famous woman.', 'expected no word about who it is, got "famous"'],
    ['A black woman.', 'expected no word about race, got "black woman"'],
    ['The photo shows Angela, smiling.', 'expected no name, got "Angela"'],
    ['Erika Mustermann is smiling.', 'expected no name, got "Mustermann"'],
    ['Erika is smiling.', 'expected no name, got "erika"'],
    ['The woman in a T-shirt is smiling. She has black hair.', undefined],
    ['She is smiling. She has black hair. She is smiling.', 'expected each sentence once, got one twice'],
    [' ', 'expected words, got none'],
  ])('%j', (text, fault) => {
    expect(textFault(text, facts, 'erika_mustermann')).toBe(fault);
  });

  test('an identity of digits and letters is no name', () => {
    expect(textFault('A smiling woman.', facts, 'a_woman_7')).toBeUndefined();
  });

  test('a question needs evidence, unless nothing can answer it', () => {
    const question = { kind: 'yes-no', topic: 'Smiling', question: 'Smiling?', answer: 'Yes.', label: 'yes' } as const;
    const evidence = ['Smiling'];
    expect(questionFault({ ...question, evidence, answer: 'Yes, she is wearing glasses.' }, facts)).toBe(
      'expected Eyeglasses to be false, got true',
    );
    expect(questionFault({ ...question, evidence, label: 'no' }, facts)).toBe(
      'expected an answer that begins with "no", got another',
    );
    expect(questionFault({ ...question, evidence, question: 'Is this Erika?' }, facts)).toBe(
      'expected no name, got "Erika"',
    );
    expect(questionFault({ ...question, evidence: ['Smiling'] }, facts)).toBeUndefined();
    expect(questionFault({ ...question, evidence: [] }, facts)).toBe('expected evidence, got none');
    expect(questionFault({ ...question, evidence: ['Bald'] }, facts)).toBe('expected evidence for Bald, got none');
    expect(questionFault({ ...question, kind: 'unanswerable', evidence: [] }, facts)).toBeUndefined();
  });

  test('what is faulty or repeated is taken out with its reason', () => {
    const record = {
      facts,
      captions: ['A woman.', 'A woman.', 'A man.'],
      prompts: [],
      questions: [],
    } as unknown as DatasetRecord;
    const checked = validateRecord(record);
    expect(checked.record.captions).toEqual(['A woman.']);
    expect(checked.faults).toEqual([
      'caption: expected a new text, got a repeated one',
      'caption: expected Male to be false, got true',
    ]);
  });

  test('what the grammar writes is sound', async () => {
    const random = new Philox(2);
    const names = [
      'Male',
      'Smiling',
      'Eyeglasses',
      'Bangs',
      'Goatee',
      'Mustache',
      'No_Beard',
      'Talking',
      'Happy',
    ] as const;
    for (let seed = 0; seed < 200; seed++) {
      const labels = Object.fromEntries(names.map((name) => [name, random.uniform() < 0.5]));
      const { facts: known } = mergeFacts(labels, {});
      const face = { id: 'x', facts: known, seed, image: async () => new Uint8Array() };
      const record = {
        facts: known,
        captions: await new GrammarCaptioner().caption(face),
        prompts: promptsFor(face),
        questions: await new GrammarQuestionWriter().questions(face),
      } as unknown as DatasetRecord;
      expect(validateRecord(record).faults).toEqual([]);
    }
  });
});

test('photos of one person are in one split, about one in ten in the test', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.string({ unit: 'grapheme-ascii', minLength: 8 }),
      fc.string({ unit: 'grapheme-ascii', minLength: 8 }),
      (person, a, b) => {
        expect(splitOf('s', person, a)).toBe(splitOf('s', person, b));
      },
    ),
  );
  const splits = Array.from({ length: 5000 }, (_, i) => splitOf('s', `person ${i}`, ''));
  expect(splits.filter((split) => split === 'test').length).toBeGreaterThan(400);
  expect(splits.filter((split) => split === 'test').length).toBeLessThan(600);
  expect(splitOf('celeba', '20', '')).toBe('test');
});
