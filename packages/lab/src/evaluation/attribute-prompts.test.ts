import { Philox } from '@unif2ace/graph';
import { expect, test } from 'vitest';
import { type Attributes, attributeNames } from '../data/grammar/attributes.ts';
import { parseCaption } from '../data/grammar/parse.ts';
import { attributePrompts, judgedAttributes } from './attribute-prompts.ts';

const random = new Philox(11);
const faces = Array.from(
  { length: 300 },
  () => Object.fromEntries(attributeNames.map((name) => [name, random.uniform() < 0.3])) as Attributes,
);
const colours = ['Black_Hair', 'Blond_Hair', 'Brown_Hair', 'Gray_Hair'] as const;

test.each(judgedAttributes)('%s: read back, one prompt says it, the other the opposite, of one gender', (attribute) => {
  for (const { stated, opposite } of attributePrompts(attribute, faces, 6, { seed: 3 })) {
    const [first, second] = [parseCaption(stated), parseCaption(opposite)];
    expect(first[attribute], stated).toBe(true);
    if (attribute !== 'Male') expect(second.Male).toBe(first.Male);
    const coloured = colours.filter((name) => second[name]);
    if (attribute === 'Wearing_Lipstick') expect(second).not.toHaveProperty('Wearing_Lipstick');
    else if (attribute === 'No_Beard') expect(second.No_Beard === false || second.Goatee === true, opposite).toBe(true);
    else if (attribute === 'Bald' || attribute.endsWith('_Hair')) {
      expect(coloured, opposite).toHaveLength(1);
      expect(coloured[0]).not.toBe(attribute);
    } else expect(second[attribute], opposite).toBe(false);
  }
});

test('depends on the seed alone, and only fitting prompts are taken', () => {
  const prompts = (seed: number, fits?: (prompt: string) => boolean) =>
    attributePrompts('Smiling', faces, 5, { seed, ...(fits && { fits }) });
  expect(prompts(1)).toEqual(prompts(1));
  expect(prompts(2)).not.toEqual(prompts(1));
  for (const { stated, opposite } of prompts(1, (prompt) => prompt.length < 40))
    expect(Math.max(stated.length, opposite.length)).toBeLessThan(40);
  expect(() => prompts(1, () => false)).toThrow(/state Smiling, got none among 300/);
});
