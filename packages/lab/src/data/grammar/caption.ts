import type { Philox } from '@unif2ace/graph';
import { type AttributeName, resolveAttributes, type StatedAttributes } from './attributes.ts';
import { fullText, longText } from './long-caption.ts';
import {
  capitalised,
  chance,
  type Phrase,
  phrasesOf,
  pick,
  type Subject,
  series,
  subjectOf,
  withArticle,
} from './phrases.ts';

export type CaptionLength = 'short' | 'medium' | 'long' | 'full';

export interface Caption {
  text: string;
  /** Exactly what the text says, no more. */
  stated: StatedAttributes;
  length: CaptionLength;
}

/**
 * A fluent English caption from labels; where the gender is unknown it speaks of "the person". short: like a prompt, without a full stop ("a smiling woman with blond
 * hair and bangs"), 1–5 features; medium: one to three sentences, 4–7 features; long: several sentences, nearly all; full:
 * all, with what is absent, 16 to 20 in all where so many are known (the paper's captions have 17.7 on average).
 * Contradictory labels are left out (see `resolveAttributes`); attractiveness and skin colour are never mentioned.
 * The text depends on the labels and the state of `random` alone.
 * @param length default: half short, a quarter medium, a quarter long.
 */
export function captionFace(labels: StatedAttributes, random: Philox, length?: CaptionLength): Caption {
  const chosen = length ?? pick(random, ['short', 'short', 'medium', 'long'] as const);
  const facts = resolveAttributes(labels);
  const draft = new Draft(facts);
  if (chosen === 'short') return { ...draft.finish(shortText(facts, draft, random)), length: chosen };
  if (chosen === 'medium') return { ...draft.finish(mediumText(facts, draft, random)), length: chosen };
  if (chosen === 'long') return { ...draft.finish(longText(facts, draft, random)), length: chosen };
  return { ...draft.finish(fullText(facts, draft, random)), length: chosen };
}

/** Length of a caption to generate by: seven of ten are short, the others medium. */
export function promptLength(random: Philox): CaptionLength {
  return chance(random, 0.7) ? 'short' : 'medium';
}

/** A caption to generate by, as the trainer draws it. */
export function promptCaption(labels: StatedAttributes, random: Philox): Caption {
  return captionFace(labels, random, promptLength(random));
}

const listItems = { fewest: 6, spread: 6 };

/**
 * A prompt of words between commas that says much of what is known, also what is absent: "smiling young-looking woman, blond hair, no
 * glasses, bangs". 6–11 items where so many are known, in random order.
 */
export function listCaption(labels: StatedAttributes, random: Philox): Omit<Caption, 'length'> {
  const facts = resolveAttributes(labels);
  const draft = new Draft(facts);
  const count = listItems.fewest + random.int(listItems.spread);
  const present = choosePhrases(facts, random, count, Number.POSITIVE_INFINITY);
  const absent = absences
    .filter(({ name }) => facts[name] === false && chance(random, 0.5))
    .map(({ name, inList }) => ({ role: 'absent' as const, text: inList, states: { [name]: false } }));
  return draft.finish(betweenCommas(random.shuffle([...present, ...absent]).slice(0, count), draft).join(', '));
}

/** Keeps account of what has been said. */
export class Draft {
  readonly subject: Subject;
  #stated: StatedAttributes;

  constructor(facts: StatedAttributes) {
    this.subject = subjectOf(facts);
    this.#stated = facts.Male === undefined ? {} : { Male: facts.Male };
  }

  has(name: AttributeName): boolean {
    return name in this.#stated;
  }

  get count(): number {
    return Object.keys(this.#stated).length;
  }

  /** Marks facts as said; returns the words unchanged. */
  say(text: string, states: StatedAttributes): string {
    Object.assign(this.#stated, states);
    return text;
  }

  phrase(phrase: Pick<Phrase, 'text' | 'states'>): string {
    return this.say(phrase.text, phrase.states);
  }

  /** "A, B, and C" of phrases. */
  series(phrases: readonly Phrase[]): string {
    return series(phrases.map((phrase) => this.phrase(phrase)));
  }

  finish(text: string): { text: string; stated: StatedAttributes } {
    return { text, stated: this.#stated };
  }
}

const maxAdjectives = 2;

/** What people name first in a prompt; the shape of nose, lips and cheeks comes later. */
const salience: Record<Phrase['group'], number> = {
  hair: 3,
  worn: 3,
  beard: 3,
  expression: 2,
  subject: 2,
  eyes: 1,
  face: 1,
};

/** Makeup is labelled on four of ten faces: left at the salience of a hat it would fill the prompts. */
const salienceOf = ({ group, states }: Phrase): number =>
  states.Heavy_Makeup || states.Wearing_Lipstick ? 1 : salience[group];

/** Up to `count` phrases in random order, the salient ones more often. */
function choosePhrases(
  facts: StatedAttributes,
  random: Philox,
  count: number,
  adjectiveLimit = maxAdjectives,
): Phrase[] {
  const left = phrasesOf(facts, random);
  const chosen: Phrase[] = [];
  let adjectives = 0;
  while (left.length > 0 && chosen.length < count) {
    const [phrase] = left.splice(random.categorical(left.map(salienceOf)), 1);
    if (phrase!.role === 'adjective' && ++adjectives > adjectiveLimit) continue;
    chosen.push(phrase!);
  }
  return chosen;
}

const byRole = (phrases: readonly Phrase[], role: Phrase['role']): Phrase[] =>
  phrases.filter((phrase) => phrase.role === role);

/** "a smiling young-looking woman": expression first, age next to the noun. */
function nounPhrase(phrases: readonly Phrase[], draft: Draft): string {
  const order: Phrase['group'][] = ['expression', 'beard', 'hair', 'subject'];
  const adjectives = byRole(phrases, 'adjective').sort((a, b) => order.indexOf(a.group) - order.indexOf(b.group));
  return withArticle([...adjectives.map((phrase) => draft.phrase(phrase)), draft.subject.noun].join(' '));
}

/** What is said to be absent, how often in a sentence, and how between commas. */
const absences = [
  { name: 'Smiling', share: 0.12, words: 'not smiling', inList: 'not smiling' },
  { name: 'Eyeglasses', share: 0.06, words: 'without glasses', inList: 'no glasses' },
  { name: 'Wearing_Hat', share: 0.04, words: 'without a hat', inList: 'no hat' },
  { name: 'Bangs', share: 0.02, words: 'without bangs', inList: 'no bangs' },
] as const;

/** Something that is absent, said now and then, so that "without" has a meaning. */
function absence(
  facts: StatedAttributes,
  draft: Draft,
  random: Philox,
  form: 'words' | 'inList' = 'words',
): string | undefined {
  for (const { name, share, [form]: text } of absences)
    if (facts[name] === false && chance(random, share)) return draft.say(text, { [name]: false });
  return undefined;
}

function described(phrases: readonly Phrase[], draft: Draft, random: Philox, tail?: string): string {
  const have = byRole(phrases, 'have');
  const wear = byRole(phrases, 'wear');
  const parts = [nounPhrase(phrases, draft)];
  const withPart = have.length > 0 ? `with ${draft.series(have)}` : undefined;
  const wearPart = wear.length > 0 ? `wearing ${draft.series(wear)}` : undefined;
  const clauses = [withPart, wearPart].filter((part) => part !== undefined);
  if (wear.length === 1 && have.length > 0 && chance(random, 0.35)) clauses.reverse();
  parts.push(clauses.join(', '));
  const text = parts.filter((part) => part !== '').join(' ');
  return tail ? `${text}${clauses.length > 0 ? ',' : ''} ${tail}` : text;
}

const openings = ['a photo of', 'a portrait of', 'a close-up of', 'a picture of', 'the face of'];

type Listed = Phrase | { role: 'absent'; text: string; states: StatedAttributes };

/** The way many people write prompts: the noun with its adjectives first, then the other words as they come, without articles. */
function betweenCommas(phrases: readonly Listed[], draft: Draft): string[] {
  const isAdjective = (phrase: Listed): phrase is Phrase => phrase.role === 'adjective';
  const words = phrases.filter((phrase) => !isAdjective(phrase)).map((phrase) => draft.phrase(phrase));
  return [nounPhrase(phrases.filter(isAdjective), draft), ...words].map((text) => text.replace(/^an? /, ''));
}

function shortText(facts: StatedAttributes, draft: Draft, random: Philox): string {
  const phrases = choosePhrases(facts, random, pick(random, [1, 2, 2, 3, 3, 4, 4, 5]));
  if (chance(random, 0.15)) {
    const words = betweenCommas(phrases, draft);
    const without = absence(facts, draft, random, 'inList');
    return [...words, ...(without ? [without] : [])].join(', ');
  }
  const text = described(phrases, draft, random, absence(facts, draft, random));
  return chance(random, 0.2) ? `${pick(random, openings)} ${text}` : text;
}

const mediumOpenings = ['This is', 'The photo shows', 'Here is', 'The picture shows', 'This portrait shows', 'We see'];

function mediumText(facts: StatedAttributes, draft: Draft, random: Philox): string {
  const { they } = draft.subject;
  const phrases = choosePhrases(facts, random, 4 + random.int(4));
  const inSecond = phrases.filter(
    ({ text, role }) => (role === 'adjective' ? text === 'smiling' : true) && chance(random, 0.5),
  );
  const opening = `${pick(random, mediumOpenings)} ${described(
    phrases.filter((phrase) => !inSecond.includes(phrase)),
    draft,
    random,
  )}.`;

  const predicates: string[] = [];
  const have = byRole(inSecond, 'have');
  const wear = byRole(inSecond, 'wear');
  if (have.length > 0) predicates.push(`has ${draft.series(have)}`);
  if (wear.length > 0) predicates.push(`is wearing ${draft.series(wear)}`);
  for (const smile of byRole(inSecond, 'adjective')) predicates.push(`is ${draft.phrase(smile)}`);
  if (predicates.length === 0) {
    if (facts.Smiling === false && chance(random, 0.3))
      predicates.push(draft.say('is not smiling', { Smiling: false }));
    else if (facts.Eyeglasses === false && chance(random, 0.2))
      predicates.push(draft.say('is not wearing glasses', { Eyeglasses: false }));
  }
  if (predicates.length > 1 && chance(random, 0.3)) predicates.reverse();
  const [first, second, third] = predicates;
  const sentences = [opening];
  if (first && second) {
    const joint = first.includes(' and ') || second.includes(' and ') ? `, and ${they} ` : ' and ';
    sentences.push(`${capitalised(they)} ${first}${joint}${second}.`);
  } else if (first) sentences.push(`${capitalised(they)} ${first}.`);
  if (third) sentences.push(`${capitalised(they)} ${third}.`);
  if (facts.Blurry && chance(random, 0.5)) sentences.push(draft.say('The photo is blurry.', { Blurry: true }));
  return sentences.join(' ');
}
