import { Philox } from '@unif2ace/graph';
import { expect, test } from 'vitest';
import { type Attributes, attributeNames } from '../data/grammar/attributes.ts';
import { questionsAbout } from '../data/grammar/questions.ts';
import { attributeAnswers, celebaTopics, type TopicScore } from './understanding.ts';

const score = (topic: string, balancedAccuracy: number, classes = 2): TopicScore => ({
  topic,
  asked: 10,
  correct: 5,
  unreadable: 0,
  accuracy: 0.5,
  balancedAccuracy,
  interval: { low: 0, high: 1 },
  classes,
  majority: 0.5,
});

test('every attribute that may be said has a question that is really asked', () => {
  const random = new Philox(2);
  const topics = new Set<string>();
  for (let i = 0; i < 300; i++) {
    const labels = Object.fromEntries(attributeNames.map((name) => [name, random.uniform() < 0.3])) as Attributes;
    for (const { topic } of questionsAbout(labels, random)) topics.add(topic);
  }
  expect(Object.keys(celebaTopics)).toHaveLength(38);
  for (const topic of Object.values(celebaTopics)) expect(topics).toContain(topic);
});

test('the mean is over attributes that were asked and differ between faces', () => {
  const answers = attributeAnswers([
    score('gender', 0.9),
    score('Smiling', 0.7),
    score('Bald', 1, 1),
    score('hair color', 0.1),
  ]);
  expect(answers.asked).toBe(2);
  expect(answers.meanBalancedAccuracy).toBeCloseTo(0.8, 12);
  expect(answers.single).toEqual({ Male: 0.9, Smiling: 0.7, Eyeglasses: null });
  expect(answers.missing).toHaveLength(36);
  expect(answers.missing).toContain('Bald');
});
