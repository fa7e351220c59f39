import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { DatasetRecord } from '../build/types.ts';

/** What of a record is shown to raters; facts only once they have rated. */
export type ReviewRecord = Pick<DatasetRecord, 'id' | 'image' | 'captions' | 'facts' | 'factSources'>;

export const maxCommentCharacters = 2000;

/** Begins with a letter or digit; at most 40 characters. */
const pseudonym = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,39}$/u;

/** A pseudonym as it is kept: "Ann ", "ann" and "ANN" are one rater. Undefined for one that will not do. */
export function raterName(typed: string): string | undefined {
  const name = typed.normalize('NFC').trim().replace(/\s+/g, ' ').toLowerCase();
  return pseudonym.test(name) ? name : undefined;
}

/** A text of one face. A caption that changes becomes another item, so that a rating always speaks of what was read. */
export function itemName(recordId: string, caption: string): string {
  return `${recordId}-${createHash('sha256').update(caption).digest('hex').slice(0, 8)}`;
}

/** Sentences with the white space after each, so that joined they are the caption. */
export function sentencesOf(caption: string): string[] {
  return Array.from(new Intl.Segmenter('en', { granularity: 'sentence' }).segment(caption), ({ segment }) => segment);
}

const judgement = z.strictObject({
  item: z.string().max(100),
  /** From 1, wrong, to 5, right. */
  accuracy: z.int().min(1).max(5),
  /** The caption says what the image does not show. */
  hallucination: z.boolean(),
  /** Positions in the caption, from 0; empty without hallucination. */
  wrongSentences: z.array(z.int().min(0)).max(200),
  /** Attribute types that the image shows and the caption leaves out. */
  missing: z.array(z.string().max(80)).max(200),
  comment: z.string().max(maxCommentCharacters),
});

/** A rating as the page sends it. */
export const submissionSchema = judgement.extend({ rater: z.string().max(200) });
export type Submission = z.infer<typeof submissionSchema>;

/** A rating as it is kept, one line of the log. */
export const ratingSchema = judgement.extend({
  version: z.literal(1),
  rater: z.string(),
  caption: z.string(),
  /** From showing the item to its rating. */
  seconds: z.number().min(0),
  time: z.iso.datetime(),
});
export type Rating = z.infer<typeof ratingSchema>;

/** Why a well-formed submission cannot stand; undefined when it can. */
export function submissionFault(
  { hallucination, wrongSentences, missing }: Submission,
  sentences: number,
  types: ReadonlySet<string>,
): string | undefined {
  const outside = wrongSentences.find((sentence) => sentence >= sentences);
  if (outside !== undefined) return `expected sentences 0 to ${sentences - 1}, got ${outside}`;
  if (hallucination && wrongSentences.length === 0) return 'expected the wrong sentence to be marked, got none';
  if (!hallucination && wrongSentences.length > 0) return 'expected no sentence marked without hallucination, got some';
  const unknown = missing.find((type) => !types.has(type));
  if (unknown !== undefined) return `expected attribute types of the vocabulary, got ${JSON.stringify(unknown)}`;
  for (const list of [wrongSentences, missing]) {
    if (new Set<unknown>(list).size < list.length) return 'expected each choice once, got one twice';
  }
  return undefined;
}
