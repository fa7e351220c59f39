import type { LookedAt, UniF2ace } from '@unif2ace/core';
import { decodeImage } from '@unif2ace/core/node';
import { Philox } from '@unif2ace/graph';
import type { FaceRecord } from '../data/celeba.ts';
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
    majority: Math.max(...recalls.map(({ count }) => count)) / truths.length,
  };
}
