import type { AttributeName, StatedAttributes } from '../grammar/attributes.ts';
import { parseCaption } from '../grammar/parse.ts';
import type { DatasetRecord, RecordQuestion } from './types.ts';

export const validateVersion = '1';

const raceWords =
  /\b(?:race|racial|ethnic\w*|caucasian|asian|african|european|hispanic|latin[ao]|indian|arab|(?:white|black|brown|dark|light|pale|fair|olive)[- ]skin\w*|skin (?:tone|colou?r))\b/i;
const judgements = /\b(?:attractive|beautiful|pretty|handsome|ugly|gorgeous|unattractive)\b/i;
const names = /\b(?:named|called|known as|name is|identified as|celebrity|famous|actor|actress|singer|politician)\b/i;

/** Why a text must not be in the data set; undefined when it may. */
export function textFault(text: string, facts: StatedAttributes): string | undefined {
  if (text.trim() === '') return 'expected words, got none';
  const race = raceWords.exec(text);
  if (race) return `expected no word about race, got "${race[0]}"`;
  const judged = judgements.exec(text);
  if (judged) return `expected no judgement of looks, got "${judged[0]}"`;
  const named = names.exec(text);
  if (named) return `expected no word about who it is, got "${named[0]}"`;
  for (const [name, value] of Object.entries(parseCaption(text)) as [AttributeName, boolean][]) {
    const fact = facts[name];
    if (fact === undefined) {
      if (value && !ruledIn(name, facts)) return `expected evidence for ${name}, got none`;
    } else if (fact !== value) return `expected ${name} to be ${fact}, got ${value}`;
  }
  return undefined;
}

/** Facts that `resolveAttributes` drops since another says as much: no beard beside a mustache is no statement. */
function ruledIn(name: AttributeName, facts: StatedAttributes): boolean {
  return name === 'No_Beard' && facts['5_o_Clock_Shadow'] === true;
}

export function questionFault(
  { kind, question, answer, evidence }: RecordQuestion,
  facts: StatedAttributes,
): string | undefined {
  if (question.trim() === '' || answer.trim() === '') return 'expected a question and an answer, got an empty text';
  for (const pattern of [raceWords, judgements]) {
    const found = pattern.exec(`${question} ${answer}`);
    if (found) return `expected no word about race or looks, got "${found[0]}"`;
  }
  if (kind === 'unanswerable') return evidence.length > 0 ? 'expected no evidence, got some' : undefined;
  if (evidence.length === 0) return 'expected evidence, got none';
  const unknown = evidence.find((name) => facts[name as AttributeName] === undefined);
  // a hair colour that is not the face's own is known by the one that is
  if (unknown && !/_Hair$/.test(unknown)) return `expected evidence for ${unknown}, got none`;
  return undefined;
}

/** A record without the texts that must not be in it, and what was taken out and why. */
export function validateRecord(record: DatasetRecord): { record: DatasetRecord; faults: string[] } {
  const faults: string[] = [];
  const sound = (what: string, texts: readonly string[]) => {
    const seen = new Set<string>();
    return texts.filter((text) => {
      const fault = seen.has(text) ? 'expected a new text, got a repeated one' : textFault(text, record.facts);
      seen.add(text);
      if (fault) faults.push(`${what}: ${fault}`);
      return !fault;
    });
  };
  const asked = new Set<string>();
  const questions = record.questions.filter((entry) => {
    const fault = asked.has(entry.question)
      ? 'expected a new question, got a repeated one'
      : questionFault(entry, record.facts);
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
