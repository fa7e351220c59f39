import type { AttributeName, StatedAttributes } from './attributes.ts';
import { actionWords, emotionWords } from './vocabulary.ts';

const colours = 'black|blond|blonde|brown|gray|grey';
const types = 'straight|wavy';

const hairColour = (colour: string) =>
  `(?:${colour})(?: (?:${types}))? hair|hair is (?:(?:${types}) and )?(?:${colour})`;
const hairType = (type: string) => `${type}(?: (?:${colours}))? hair|hair is (?:(?:${colours}) and )?${type}`;

/** What names each attribute. A negation right before the match turns it round. */
const patterns: readonly [AttributeName, string][] = [
  ['5_o_Clock_Shadow', "stubble|(?:five|5) o'clock shadow"],
  ['Arched_Eyebrows', 'arched eyebrows|eyebrows are (?:\\w+ and )?arched'],
  ['Bags_Under_Eyes', 'bags under'],
  ['Bald', 'bald'],
  ['Bangs', 'bangs'],
  ['Big_Lips', '(?:full|big) lips|lips are (?:full|big)'],
  ['Big_Nose', '(?:big|large)(?: point(?:ed|y))? nose|nose is (?:big|large)'],
  ['Black_Hair', hairColour('black')],
  ['Blond_Hair', hairColour('blonde?')],
  ['Blurry', 'blurry|blurred'],
  ['Brown_Hair', hairColour('brown')],
  ['Bushy_Eyebrows', '(?:bushy|thick)(?: arched)? eyebrows|eyebrows are (?:bushy|thick)'],
  ['Chubby', '(?:full|chubby)(?: rosy)? cheeks|cheeks are (?:full|chubby)'],
  ['Double_Chin', 'double chin'],
  ['Eyeglasses', '(?:eye)?glasses'],
  ['Goatee', 'goatee'],
  ['Gray_Hair', hairColour('gr[ae]y')],
  ['Heavy_Makeup', 'heavy makeup'],
  ['High_Cheekbones', 'high cheekbones'],
  ['Mustache', 'mustache'],
  ['Narrow_Eyes', 'narrow eyes|eyes are narrow'],
  ['Oval_Face', 'oval face|face is oval'],
  ['Pointy_Nose', 'point(?:ed|y) nose|nose is (?:\\w+ and )?point(?:ed|y)'],
  ['Receding_Hairline', 'receding hairline'],
  ['Rosy_Cheeks', 'rosy cheeks|cheeks are (?:\\w+ and )?rosy'],
  ['Sideburns', 'sideburns'],
  ['Smiling', 'smil(?:e|es|ing)'],
  ['Straight_Hair', hairType('straight')],
  ['Wavy_Hair', hairType('wavy')],
  ['Wearing_Earrings', 'earrings'],
  ['Wearing_Hat', 'hat'],
  ['Wearing_Lipstick', 'lipstick'],
  ['Wearing_Necklace', 'necklace'],
  ['Wearing_Necktie', '(?:neck)?tie'],
  ['Long_Hair', `long(?: (?:${types}))?(?: (?:${colours}))? hair|hair is long`],
  ['Sunglasses', 'sunglasses'],
  ['Wearing_Mask', '(?:face )?mask'],
  ['Eyes_Closed', 'eyes are closed|closed eyes'],
  ...Object.entries(actionWords).map(([name, words]): [AttributeName, string] => [
    name as AttributeName,
    words.replace('the head', '(?:the|his|her|their) head'),
  ]),
  ...Object.entries(emotionWords).map(([name, word]): [AttributeName, string] => [
    name as AttributeName,
    `looks? ${word}${name === 'Neutral' ? '|neutral expression|expression is neutral' : ''}`,
  ]),
];

const negation = "(?:\\b(?:no|not|without|never|isn't|doesn't)(?: (?:a|an|any|have|wear|wearing))* )?";
const compiled = patterns.map(([name, noun]) => [name, new RegExp(`(${negation})\\b(?:${noun})\\b`, 'g')] as const);

/** "not wearing a hat, glasses, or a tie" → "not wearing a hat, not wearing glasses, not wearing a tie". */
function spreadNegation(words: string): string {
  return words.replace(
    /\b(not wearing|not have|without) ((?:[^.,;]+, )*[^.,;]+?),? or ([^.,;]+)/g,
    (_, negated: string, items: string, last: string) =>
      [...items.split(', '), last].map((item) => `${negated} ${item}`).join(', '),
  );
}

/** First of the two patterns that holds; undefined when neither or both do. */
function either(text: string, yes: RegExp, no: RegExp): boolean | undefined {
  const [positive, negative] = [yes.test(text), no.test(text)];
  return positive === negative ? undefined : positive;
}

/**
 * What a description says about a face: the inverse of `captionFace`, also for judging generated descriptions and
 * answers. An attribute that the text does not mention, or that it states both ways, is absent. American and British
 * spelling; anything it does not know is passed over.
 */
export function parseCaption(text: string): StatedAttributes {
  const words = spreadNegation(text.toLowerCase().replaceAll('’', "'").replace(/\s+/g, ' '));
  const stated: StatedAttributes = {};
  const set = (name: AttributeName, value: boolean | undefined) => {
    if (value !== undefined) stated[name] = value;
  };
  for (const [name, pattern] of compiled) {
    const values = new Set(Array.from(words.matchAll(pattern), (match) => match[1] === ''));
    if (values.size === 1) stated[name] = values.has(true);
  }
  const byNoun = either(words, /\b(?:man|male|gentleman|boy)\b/, /\b(?:woman|female|lady|girl)\b/);
  set('Male', byNoun ?? either(words, /\b(?:he|his|him)\b/, /\b(?:she|her)\b/));
  set('Young', either(words, /\byoung\b/, /\b(?:old|older|elderly)\b/));
  set(
    'Mouth_Slightly_Open',
    either(
      words,
      /\bopen mouth\b|\bmouth (?:is )?(?:slightly )?open\b/,
      /\bclosed mouth\b|\bmouth (?:is )?(?:closed|not )/,
    ),
  );
  const noBeard = /\b(?:no|not have(?: a)?|without(?: a)?) beard\b/;
  if (/\bbeard\b/.test(words)) stated.No_Beard = noBeard.test(words);
  else if (/\bclean-shaven\b/.test(words)) stated.No_Beard = !/\bnot clean-shaven\b/.test(words);
  return stated;
}
