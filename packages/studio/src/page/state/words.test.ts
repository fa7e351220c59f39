import { describe, expect, test } from 'vitest';
import { readPrompt, type TraitName, withTrait } from './words.ts';

const read = (prompt: string) => {
  const { stated, denied } = readPrompt(prompt);
  return [[...stated], [...denied]];
};

describe('readPrompt', () => {
  test.each<[string, TraitName[], TraitName[]]>([
    ['a man without glasses', ['Male'], ['Eyeglasses']],
    ['a man not wearing eyeglasses', ['Male'], ['Eyeglasses']],
    ['a woman without a hat or glasses', ['Woman'], ['Eyeglasses', 'Wearing_Hat']],
    ['a man with no beard, wearing glasses', ['Male', 'Eyeglasses'], ['Beard']],
    ['a woman, not smiling, wearing earrings', ['Woman', 'No_Smile', 'Wearing_Earrings'], []],
    ['a smiling woman with wavy blond hair', ['Woman', 'Smiling', 'Wavy_Hair', 'Blond_Hair'], []],
    ['without doubt a man with glasses', ['Male', 'Eyeglasses'], []],
    ['knots and notes', [], []],
  ])('%s', (prompt, stated, denied) => expect(read(prompt)).toEqual([stated, denied]));
});

describe('withTrait', () => {
  test('a switch takes the place of what denied it, other words stay', () => {
    expect(withTrait('a man without glasses', 'Eyeglasses', true)).toBe('a man wearing eyeglasses');
    expect(withTrait('my friend Bob without glasses', 'Eyeglasses', true)).toBe('my friend Bob, wearing eyeglasses');
    expect(withTrait('a man with gray hair, but without a hat', 'Wearing_Hat', true)).toBe(
      'a man with gray hair, wearing a hat',
    );
    expect(withTrait('a woman not smiling', 'Smiling', true)).toBe('a smiling woman');
    const two = withTrait('a man without a hat or glasses', 'Eyeglasses', true);
    expect(read(two)).toEqual([['Male', 'Eyeglasses'], ['Wearing_Hat']]);
  });

  test('what is denied stays denied when the prompt is written anew', () => {
    const prompt = withTrait('a man with black hair, without glasses', 'Blond_Hair', true);
    expect(prompt).toBe('a man with blond hair, without eyeglasses');
    expect(withTrait(prompt, 'Male', false)).toBe('a person with blond hair, without eyeglasses');
  });

  test('on and off again', () => {
    for (const name of ['Eyeglasses', 'Bangs', 'Big_Nose', 'No_Smile', 'Young', 'Woman'] as const) {
      const on = withTrait('a person with brown hair', name, true);
      expect(readPrompt(on).stated.has(name), on).toBe(true);
      expect(withTrait(on, name, false)).toBe('a person with brown hair');
    }
  });
});
