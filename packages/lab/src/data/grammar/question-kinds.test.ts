import { Philox } from '@unif2ace/graph';
import { expect, test } from 'vitest';
import { type AttributeName, attributeNames, furtherNames, type StatedAttributes } from './attributes.ts';
import { parseCaption } from './parse.ts';
import { questionSet } from './question-kinds.ts';

const faces = Array.from({ length: 400 }, (_, seed): StatedAttributes => {
  const random = new Philox(seed, 5);
  const known = [...attributeNames, ...furtherNames].filter(() => random.uniform() < 0.8);
  return Object.fromEntries(known.map((name) => [name, random.uniform() < 0.25]));
});
const sets = faces.map((facts, i) => ({ facts, questions: questionSet(facts, new Philox(9, i)) }));

test('every kind is asked, at least eight questions a face, none twice', () => {
  const kinds = new Set(sets.flatMap(({ questions }) => questions.map(({ kind }) => kind)));
  expect([...kinds].sort()).toEqual(['choice', 'color', 'compare', 'count', 'reason', 'unanswerable', 'yes-no']);
  for (const { questions } of sets) {
    expect(questions.length).toBeGreaterThanOrEqual(8);
    expect(new Set(questions.map(({ question }) => question)).size).toBe(questions.length);
  }
});

test('answers follow from the evidence alone', () => {
  for (const { facts, questions } of sets)
    for (const { kind, question, answer, label, evidence } of questions) {
      const values = evidence.map((name) => facts[name as AttributeName]);
      if (kind !== 'unanswerable') expect(values, question).not.toContain(undefined);
      if (kind === 'count') {
        const worn = values.filter(Boolean).length;
        expect(label).toBe(['none', 'one', 'two', 'three', 'four', 'five', 'six'][worn]);
      }
      if (kind === 'compare') expect(values).toEqual([true, false]);
      if (kind === 'reason') {
        const [a, b] = values as [boolean, boolean];
        const truth = question.includes(' both ') ? a && b : question.includes(' but not ') ? a && !b : a || b;
        expect(label, question).toBe(truth ? 'yes' : 'no');
        const said = parseCaption(answer.replace(/^\w+, /, ''));
        for (const name of evidence) expect(said[name as AttributeName], answer).toBe(facts[name as AttributeName]);
      }
      if (kind === 'unanswerable') expect(evidence).toEqual([]);
    }
});

test('yes and no are about equally frequent', () => {
  const labels = sets.flatMap(({ questions }) =>
    questions.flatMap(({ kind, label }) => (kind === 'yes-no' ? [label] : [])),
  );
  expect(labels.filter((label) => label === 'yes').length / labels.length).toBeGreaterThan(0.4);
});
