import type { DatasetRecord, RecordQuestion } from '../build/types.ts';
import { type Column, float64, image, int32, list, struct, text } from './parquet-columns.ts';

const truths = (facts: object, truth: boolean): string[] =>
  Object.entries(facts)
    .filter(([, value]) => value === truth)
    .map(([name]) => name);

/** Table of faces: a row per face. */
export const faceColumns: readonly Column<DatasetRecord>[] = [
  { name: 'id', type: text, value: (row) => row.id, hasStatistics: true },
  {
    name: 'image',
    type: image,
    value: ({ id, image: bytes }) => ({ bytes, path: `${id}.jpg` }),
    encoding: 'PLAIN',
    isCompressed: true,
  },
  { name: 'source', type: text, value: (row) => row.source },
  { name: 'name', type: text, value: (row) => row.name },
  { name: 'identity', type: text, value: (row) => row.identity },
  { name: 'split', type: text, value: (row) => row.split },
  { name: 'age_years', type: float64, value: (row) => row.ageYears, hasStatistics: true },
  { name: 'width', type: int32, value: (row) => row.width },
  { name: 'height', type: int32, value: (row) => row.height },
  {
    name: 'box',
    type: struct({ x: float64, y: float64, width: float64, height: float64 }),
    value: (row) => row.box,
  },
  { name: 'landmarks', type: list(struct({ x: float64, y: float64 })), value: (row) => row.landmarks },
  { name: 'facts_true', type: list(text), value: (row) => truths(row.facts, true) },
  { name: 'facts_false', type: list(text), value: (row) => truths(row.facts, false) },
  {
    name: 'fact_sources',
    type: list(struct({ attribute: text, from: text, probability: float64 })),
    value: (row) =>
      Object.entries(row.factSources).map(([attribute, { from, probability }]) => ({ attribute, from, probability })),
  },
  { name: 'captions', type: list(text), value: (row) => row.captions },
  { name: 'prompts', type: list(text), value: (row) => row.prompts },
  {
    name: 'questions',
    type: list(struct({ kind: text, topic: text, question: text, answer: text, label: text, evidence: list(text) })),
    value: (row) => row.questions,
  },
];

/** A question with the face it is about. */
export interface QuestionRow {
  face: DatasetRecord;
  question: RecordQuestion;
}

/** Table of questions: a row per question, without pictures. */
export const questionColumns: readonly Column<QuestionRow>[] = [
  { name: 'image_id', type: text, value: ({ face }) => face.id, encoding: 'RLE_DICTIONARY', hasStatistics: true },
  { name: 'kind', type: text, value: ({ question }) => question.kind, encoding: 'RLE_DICTIONARY' },
  { name: 'topic', type: text, value: ({ question }) => question.topic, encoding: 'RLE_DICTIONARY' },
  { name: 'question', type: text, value: ({ question }) => question.question },
  { name: 'answer', type: text, value: ({ question }) => question.answer },
  { name: 'label', type: text, value: ({ question }) => question.label, encoding: 'RLE_DICTIONARY' },
  { name: 'evidence', type: list(text), value: ({ question }) => question.evidence, encoding: 'RLE_DICTIONARY' },
  { name: 'split', type: text, value: ({ face }) => face.split, encoding: 'RLE_DICTIONARY' },
];
