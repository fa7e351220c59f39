import { expect, test } from 'vitest';
import { actionLabels, appearanceLabels, emotionLabels } from '../sources/celebvhq-labels.ts';
import { attributeNames, furtherNames, unspokenAttributes } from './attributes.ts';
import { attributeTypes } from './vocabulary.ts';

const typed = attributeTypes.flatMap(({ names }) => names);

test('at least the 46 types of the paper, in its three groups, each name in one of them', () => {
  expect(attributeTypes.length).toBeGreaterThanOrEqual(46);
  expect(new Set(attributeTypes.map(({ type }) => type)).size).toBe(attributeTypes.length);
  expect(new Set(attributeTypes.map(({ group }) => group))).toEqual(new Set(['appearance', 'action', 'emotion']));
  expect(new Set(typed).size).toBe(typed.length);
});

test('every label of CelebA and of CelebV-HQ has its type, but those that are never put into words', () => {
  expect(attributeNames).toHaveLength(40);
  const labels = { ...appearanceLabels, ...actionLabels, ...emotionLabels };
  expect(Object.keys(labels)).toHaveLength(83);
  const all = new Set<string>([...attributeNames, ...furtherNames, ...Object.values(labels)]);
  const untyped = [...all].filter((name) => !(typed as string[]).includes(name));
  expect(untyped.sort()).toEqual([...unspokenAttributes].sort());
});
