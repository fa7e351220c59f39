import type { LookedAt, UniF2ace } from '@unif2ace/core';
import { decodeImage } from '@unif2ace/core/node';
import { Philox } from '@unif2ace/graph';
import type { FaceRecord } from '../data/celeba.ts';
import { attributeNames, unspokenAttributes } from '../data/grammar/attributes.ts';
import { type Question, questionsAbout, readAnswer } from '../data/grammar/questions.ts';

export interface TopicScore {
  topic: string;
  asked: number;
  correct: number;
  /** Answers that were no answer to the question. */
  unreadable: number;
  accuracy: number;
  /** Mean over the answer classes of the share answered right. */
  balancedAccuracy: number;
  /** 95 % of the balanced accuracy, by the normal law with one more right and one more wrong answer in each class. */
  interval: { low: number; high: number };
  /** Answers that are right for some of the faces; with one alone nothing is measured. */
  classes: number;
  /** Accuracy of always giving the most frequent answer. */
  majority: number;
}

interface Tally {
  truths: string[];
  answers: (string | undefined)[];
}

async function answerOf(model: UniF2ace, looked: LookedAt, question: Question): Promise<string | undefined> {
  const stream = model.ask(looked, question.question);
  for (;;) {
    const { value, done } = await stream.next();
    if (done) return readAnswer(question, value);
  }
}

/**
 * Asks every question of the given topics (all by default) about each face and compares with the labels. Faces should be
 * of identities that the model was not trained on.
 */
export async function evaluateUnderstanding(
  model: UniF2ace,
  records: readonly FaceRecord[],
  options: { topics?: readonly string[]; seed?: number; onProgress?: (done: number) => void } = {},
): Promise<TopicScore[]> {
  const tallies = new Map<string, Tally>();
  const random = new Philox(options.seed ?? 0);
  for (const [done, record] of records.entries()) {
    const looked = await model.look(await decodeImage(record.path));
    for (const question of questionsAbout(record.attributes, random)) {
      if (options.topics && !options.topics.includes(question.topic)) continue;
      const tally = tallies.get(question.topic) ?? { truths: [], answers: [] };
      tallies.set(question.topic, tally);
      tally.truths.push(question.label);
      tally.answers.push(await answerOf(model, looked, question));
    }
    looked.free();
    options.onProgress?.(done + 1);
  }
  return [...tallies].map(([topic, tally]) => scoreOf(topic, tally)).sort((a, b) => (a.topic < b.topic ? -1 : 1));
}

function scoreOf(topic: string, { truths, answers }: Tally): TopicScore {
  const classes = [...new Set(truths)];
  const recalls = classes.map((label) => {
    const of = truths.flatMap((truth, i) => (truth === label ? [Number(answers[i] === truth)] : []));
    return { count: of.length, recall: of.reduce((a, b) => a + b, 0) / of.length };
  });
  const correct = truths.filter((truth, i) => answers[i] === truth).length;
  return {
    topic,
    asked: truths.length,
    correct,
    unreadable: answers.filter((answer) => answer === undefined).length,
    accuracy: correct / truths.length,
    balancedAccuracy: recalls.reduce((sum, { recall }) => sum + recall, 0) / recalls.length,
    interval: intervalOf(recalls),
    classes: classes.length,
    majority: Math.max(...recalls.map(({ count }) => count)) / truths.length,
  };
}

function intervalOf(recalls: readonly { count: number; recall: number }[]): { low: number; high: number } {
  let [mean, variance] = [0, 0];
  for (const { count, recall } of recalls) {
    const smoothed = (count * recall + 1) / (count + 2);
    mean += smoothed / recalls.length;
    variance += (smoothed * (1 - smoothed)) / (count + 2) / recalls.length ** 2;
  }
  const half = 1.96 * Math.sqrt(variance);
  return { low: Math.max(0, mean - half), high: Math.min(1, mean + half) };
}

/** The question that asks about each attribute of CelebA that may be put into words. */
export const celebaTopics: Readonly<Record<string, string>> = Object.fromEntries(
  attributeNames
    .filter((name) => !unspokenAttributes.includes(name))
    .map((name) => [name, name === 'Male' ? 'gender' : name]),
);

/** Attributes that stand for themselves beside the mean. */
const singleAttributes = ['Male', 'Eyeglasses', 'Smiling'] as const;

/** Balanced accuracy over CelebA's attributes, each by its question in `celebaTopics`. */
export interface AttributeAnswers {
  /** Attributes in the mean. */
  asked: number;
  /** Null where none was asked. */
  meanBalancedAccuracy: number | null;
  single: Record<(typeof singleAttributes)[number], number | null>;
  /** Attributes that were not asked, or that all faces share. */
  missing: string[];
}

export function attributeAnswers(scores: readonly TopicScore[]): AttributeAnswers {
  const byTopic = new Map(scores.map((score) => [score.topic, score]));
  const found = Object.entries(celebaTopics).map(([name, topic]) => {
    const score = byTopic.get(topic);
    return { name, accuracy: score && score.classes > 1 ? score.balancedAccuracy : null };
  });
  const known = found.flatMap(({ accuracy }) => (accuracy === null ? [] : [accuracy]));
  const single = Object.fromEntries(
    singleAttributes.map((name) => [name, found.find((entry) => entry.name === name)!.accuracy]),
  ) as AttributeAnswers['single'];
  return {
    asked: known.length,
    meanBalancedAccuracy: known.length > 0 ? known.reduce((a, b) => a + b, 0) / known.length : null,
    single,
    missing: found.filter(({ accuracy }) => accuracy === null).map(({ name }) => name),
  };
}
