import type { Philox } from '@unif2ace/graph';
import type { AttributeName, StatedAttributes } from './attributes.ts';

/** A piece of a sentence and what it says. */
export interface Phrase {
  /** adjective: before "man" or "woman"; have: after "with" or "has"; wear: after "wearing". */
  role: 'adjective' | 'have' | 'wear';
  group: 'subject' | 'hair' | 'eyes' | 'face' | 'beard' | 'worn' | 'expression';
  text: string;
  states: StatedAttributes;
}

/** Noun and pronouns as the data set labels the face. */
export interface Subject {
  noun: 'man' | 'woman' | 'person';
  they: 'he' | 'she' | 'the person';
  their: 'his' | 'her' | 'their';
}

export function subjectOf(facts: StatedAttributes): Subject {
  if (facts.Male === undefined) return { noun: 'person', they: 'the person', their: 'their' };
  return facts.Male ? { noun: 'man', they: 'he', their: 'his' } : { noun: 'woman', they: 'she', their: 'her' };
}

export function pick<T>(random: Philox, items: readonly T[]): T {
  return items[random.int(items.length)]!;
}

export const chance = (random: Philox, probability: number): boolean => random.uniform() < probability;

/** "A", "A and B", "A, B, and C". */
export function series(items: readonly string[]): string {
  if (items.length < 3) return items.join(' and ');
  return `${items.slice(0, -1).join(', ')}, and ${items.at(-1)}`;
}

export const withArticle = (phrase: string): string => (/^[aeiou]/.test(phrase) ? `an ${phrase}` : `a ${phrase}`);

export const capitalised = (text: string): string => text[0]!.toUpperCase() + text.slice(1);

export const hairColourWords = {
  Black_Hair: 'black',
  Blond_Hair: 'blond',
  Brown_Hair: 'brown',
  Gray_Hair: 'gray',
} as const;
export const hairTypeWords = { Straight_Hair: 'straight', Wavy_Hair: 'wavy' } as const;

function statedOf<K extends AttributeName>(facts: StatedAttributes, words: Readonly<Record<K, string>>): K | undefined {
  return (Object.keys(words) as K[]).find((name) => facts[name]);
}

/** The hair's type and colour, as far as known, e.g. ['wavy', 'blond'] with what they state. */
export function hairWords(facts: StatedAttributes): { words: string[]; states: StatedAttributes } {
  const type = statedOf(facts, hairTypeWords);
  const colour = statedOf(facts, hairColourWords);
  const words = [...(type ? [hairTypeWords[type]] : []), ...(colour ? [hairColourWords[colour]] : [])];
  return { words, states: { ...(type && { [type]: true }), ...(colour && { [colour]: true }) } };
}

const nouns: readonly [AttributeName, Phrase['group'], Phrase['role'], readonly string[]][] = [
  ['Bangs', 'hair', 'have', ['bangs']],
  ['Receding_Hairline', 'hair', 'have', ['a receding hairline']],
  ['Narrow_Eyes', 'eyes', 'have', ['narrow eyes']],
  ['Big_Lips', 'face', 'have', ['full lips', 'big lips']],
  ['High_Cheekbones', 'face', 'have', ['high cheekbones']],
  ['Oval_Face', 'face', 'have', ['an oval face']],
  ['Double_Chin', 'face', 'have', ['a double chin']],
  ['Mustache', 'beard', 'have', ['a mustache']],
  ['Goatee', 'beard', 'have', ['a goatee']],
  ['5_o_Clock_Shadow', 'beard', 'have', ['stubble', "a five o'clock shadow"]],
  ['Sideburns', 'beard', 'have', ['sideburns']],
  ['Eyeglasses', 'worn', 'wear', ['eyeglasses', 'glasses']],
  ['Sunglasses', 'worn', 'wear', ['sunglasses']],
  ['Wearing_Mask', 'worn', 'wear', ['a face mask']],
  ['Wearing_Hat', 'worn', 'wear', ['a hat']],
  ['Wearing_Earrings', 'worn', 'wear', ['earrings']],
  ['Wearing_Necklace', 'worn', 'wear', ['a necklace']],
  ['Wearing_Necktie', 'worn', 'wear', ['a necktie', 'a tie']],
  ['Heavy_Makeup', 'worn', 'wear', ['heavy makeup']],
  ['Wearing_Lipstick', 'worn', 'wear', ['lipstick']],
];

/** Attributes that share one noun are said together: "bushy arched eyebrows", "a big pointed nose". */
const shared: readonly {
  group: Phrase['group'];
  noun: string;
  article: boolean;
  parts: [AttributeName, readonly string[]][];
}[] = [
  {
    group: 'eyes',
    noun: 'eyebrows',
    article: false,
    parts: [
      ['Bushy_Eyebrows', ['bushy', 'thick']],
      ['Arched_Eyebrows', ['arched']],
    ],
  },
  {
    group: 'face',
    noun: 'nose',
    article: true,
    parts: [
      ['Big_Nose', ['big', 'large']],
      ['Pointy_Nose', ['pointed', 'pointy']],
    ],
  },
  {
    group: 'face',
    noun: 'cheeks',
    article: false,
    parts: [
      ['Chubby', ['full', 'chubby']],
      ['Rosy_Cheeks', ['rosy']],
    ],
  },
];

/** Every positive fact as a phrase with one of its wordings; hair type and colour make one phrase. */
export function phrasesOf(facts: StatedAttributes, random: Philox): Phrase[] {
  const phrases: Phrase[] = [];
  const add = (role: Phrase['role'], group: Phrase['group'], text: string, states: StatedAttributes) =>
    phrases.push({ role, group, text, states });

  if (facts.Young !== undefined)
    add('adjective', 'subject', facts.Young ? 'young-looking' : 'older-looking', { Young: facts.Young });
  if (facts.Smiling) add('adjective', 'expression', 'smiling', { Smiling: true });
  if (facts.Bald) add('adjective', 'hair', 'bald', { Bald: true });
  const { words, states } = hairWords(facts);
  const long: StatedAttributes = facts.Long_Hair ? { Long_Hair: true } : {};
  if (words.length > 0 || facts.Long_Hair)
    add('have', 'hair', `${[...(facts.Long_Hair ? ['long'] : []), ...words].join(' ')} hair`, { ...states, ...long });
  for (const [name, group, role, wordings] of nouns)
    if (facts[name]) add(role, group, pick(random, wordings), { [name]: true });
  if (facts.Bags_Under_Eyes)
    add('have', 'eyes', `bags under ${pick(random, ['the', subjectOf(facts).their])} eyes`, { Bags_Under_Eyes: true });
  for (const { group, noun, article, parts } of shared) {
    const present = parts.filter(([name]) => facts[name]);
    if (present.length === 0) continue;
    const text = `${present.map(([, wordings]) => pick(random, wordings)).join(' ')} ${noun}`;
    add('have', group, article ? withArticle(text) : text, Object.fromEntries(present.map(([name]) => [name, true])));
  }
  if (facts.No_Beard) add('adjective', 'beard', 'clean-shaven', { No_Beard: true });
  // A goatee is a beard; naming both would describe two
  if (facts.No_Beard === false && !facts.Goatee) add('have', 'beard', 'a beard', { No_Beard: false });
  if (facts.Mouth_Slightly_Open) add('have', 'expression', 'a slightly open mouth', { Mouth_Slightly_Open: true });
  return phrases;
}
