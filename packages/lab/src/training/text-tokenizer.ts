import { describeQuestion, questionPrompt, type TokenizerJson } from '@unif2ace/core';
import { Philox } from '@unif2ace/graph';
import type { FaceRecord } from '../data/celeba.ts';
import { captionFace } from '../data/grammar/caption.ts';
import { questionsAbout } from '../data/grammar/questions.ts';
import { trainBpe } from '../data/train-bpe.ts';

/** The text tokenizer, trained on what the grammar says about the training faces. */
export function textTokenizer(
  recipe: { seed: number; textVocabSize: number },
  records: readonly FaceRecord[],
): TokenizerJson {
  const random = new Philox(recipe.seed, 4);
  const texts = records
    .slice(0, 4000)
    .flatMap(({ attributes }) => [
      captionFace(attributes, random).text,
      ` ${captionFace(attributes, random, 'medium').text}`,
      ...questionsAbout(attributes, random).flatMap(({ question, answer }) => [questionPrompt(question), ` ${answer}`]),
    ]);
  texts.push(questionPrompt(describeQuestion));
  return trainBpe(texts, { vocabSize: recipe.textVocabSize }).json;
}
