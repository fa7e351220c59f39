import type { AttributeName, StatedAttributes } from '../grammar/attributes.ts';
import { parseCaption } from '../grammar/parse.ts';
import type { DatasetRecord, RecordQuestion } from './types.ts';

export const validateVersion = '2';

const peoples =
  'caucasian|asian|african|european|hispanic|latin[ao]|indian|arab|american|chinese|japanese|korean|mexican|middle[- ]eastern|slavic|jewish|muslim|christian|hindu';
const raceWords = new RegExp(
  `\\b(?:race|racial|biracial|mixed-race|ethnic\\w*|${peoples}|(?:white|black|brown) (?:man|woman|person|male|female|boy|girl|guy|lady)|(?:white|black|brown|dark|light|pale|fair|olive)[- ]skin\\w*|skin (?:tone|colou?r))\\b`,
  'i',
);
const judgements = /\b(?:attractive|beautiful|pretty|handsome|ugly|gorgeous|unattractive)\b/i;
const names = /\b(?:named|called|known as|name is|identified as|celebrity|famous|actor|actress|singer|politician)\b/i;
/** A capital within a sentence: the name of someone, or of a people or place. */
const properNoun = /(?<=[\p{Ll}\d,'’)]\s+)\p{Lu}\p{Ll}+/u;

/** Words that lead to race, to who it is, or judge looks. */
function leak(text: string, identity: string | null): string | undefined {
  const race = raceWords.exec(text);
  if (race) return `expected no word about race, got "${race[0]}"`;
  const judged = judgements.exec(text);
  if (judged) return `expected no judgement of looks, got "${judged[0]}"`;
  const named = names.exec(text);
  if (named) return `expected no word about who it is, got "${named[0]}"`;
  const proper = properNoun.exec(text);
  if (proper) return `expected no name, got "${proper[0]}"`;
  // an identity without digits is a name as it stands
  const parts = identity && !/\d/.test(identity) ? (identity.toLowerCase().match(/\p{L}{3,}/gu) ?? []) : [];
  const words = new Set(text.toLowerCase().match(/\p{L}+/gu));
  const known = parts.find((part) => words.has(part));
  return known && `expected no name, got "${known}"`;
}

/** What a text states against the facts, or without them. */
function untruth(text: string, facts: StatedAttributes): string | undefined {
  for (const [name, value] of Object.entries(parseCaption(text)) as [AttributeName, boolean][]) {
    const fact = facts[name];
    if (fact === undefined) {
      if (value && !ruledIn(name, facts)) return `expected evidence for ${name}, got none`;
    } else if (fact !== value) return `expected ${name} to be ${fact}, got ${value}`;
  }
  return undefined;
}

/** Why a text must not be in the data set; undefined when it may. @param identity the person, where the source names one. */
export function textFault(text: string, facts: StatedAttributes, identity: string | null = null): string | undefined {
  if (text.trim() === '') return 'expected words, got none';
  const sentences = text.split(/(?<=[.!?])\s+/);
  if (new Set(sentences).size < sentences.length) return 'expected each sentence once, got one twice';
  return leak(text, identity) ?? untruth(text, facts);
}

/** Facts that `resolveAttributes` drops since another says as much: no beard beside a mustache is no statement. */
function ruledIn(name: AttributeName, facts: StatedAttributes): boolean {
  return name === 'No_Beard' && facts['5_o_Clock_Shadow'] === true;
}

export function questionFault(
  { kind, question, answer, label, evidence }: RecordQuestion,
  facts: StatedAttributes,
  identity: string | null = null,
): string | undefined {
  if (question.trim() === '' || answer.trim() === '') return 'expected a question and an answer, got an empty text';
  const leaked = leak(question, identity) ?? leak(answer, identity);
  if (leaked) return leaked;
  if (kind === 'unanswerable') return evidence.length > 0 ? 'expected no evidence, got some' : undefined;
  if (evidence.length === 0) return 'expected evidence, got none';
  const unknown = evidence.find((name) => facts[name as AttributeName] === undefined);
  // a hair colour that is not the face's own is known by the one that is
  if (unknown && !/_Hair$/.test(unknown)) return `expected evidence for ${unknown}, got none`;
  if (kind === 'yes-no' && !answer.toLowerCase().startsWith(label))
    return `expected an answer that begins with "${label}", got another`;
  return untruth(answer, facts);
}

/** A record without the texts that must not be in it, and what was taken out and why. */
export function validateRecord(record: DatasetRecord): { record: DatasetRecord; faults: string[] } {
  const faults: string[] = [];
  const sound = (what: string, texts: readonly string[]) => {
    const seen = new Set<string>();
    return texts.filter((text) => {
      const fault = seen.has(text)
        ? 'expected a new text, got a repeated one'
        : textFault(text, record.facts, record.identity);
      seen.add(text);
      if (fault) faults.push(`${what}: ${fault}`);
      return !fault;
    });
  };
  const asked = new Set<string>();
  const questions = record.questions.filter((entry) => {
    const fault = asked.has(entry.question)
      ? 'expected a new question, got a repeated one'
      : questionFault(entry, record.facts, record.identity);
    asked.add(entry.question);
    if (fault) faults.push(`question: ${fault}`);
    return !fault;
  });
  return {
    record: {
      ...record,
      captions: sound('caption', record.captions),
      prompts: sound('prompt', record.prompts),
      questions,
    },
    faults,
  };
}
