import type { Philox } from '@unif2ace/graph';
import type { AttributeName, StatedAttributes } from './attributes.ts';
import type { Draft } from './caption.ts';
import { capitalised, chance, hairWords, type Phrase, phrasesOf, pick, series, withArticle } from './phrases.ts';
import { actionWords, emotionWords } from './vocabulary.ts';

type Group = Phrase['group'];

/** Nearly all that is known, in several sentences. */
export function longText(facts: StatedAttributes, draft: Draft, random: Philox): string {
  return sentencesOf(facts, draft, random, 0.92).join(' ');
}

/** All that is known, and what is absent until 16 to 20 attributes are named. */
export function fullText(facts: StatedAttributes, draft: Draft, random: Philox): string {
  const sentences = sentencesOf(facts, draft, random, 1);
  const speaker = new Speaker(draft, random);
  const missing = random.shuffle(absent.filter(([name]) => facts[name] === false && !draft.has(name)));
  const chosen = missing.slice(0, Math.max(0, 16 + random.int(5) - draft.count));
  const without = (role: 'wear' | 'have') => chosen.filter(([, of]) => of === role);
  const list = (items: typeof chosen) => {
    const words = items.map(([name, , word]) => draft.say(word, { [name]: false }));
    return words.length < 3 ? words.join(' or ') : `${words.slice(0, -1).join(', ')}, or ${words.at(-1)}`;
  };
  const [worn, had] = [without('wear'), without('have')];
  if (worn.length > 0) sentences.push(`${speaker.subject()} is not wearing ${list(worn)}.`);
  if (had.length > 0) sentences.push(`${speaker.subject()} does not have ${list(had)}.`);
  return sentences.join(' ');
}

/** What can be said to be absent, with its word. */
const absent: readonly (readonly [AttributeName, 'wear' | 'have', string])[] = [
  ['Eyeglasses', 'wear', 'eyeglasses'],
  ['Sunglasses', 'wear', 'sunglasses'],
  ['Wearing_Hat', 'wear', 'a hat'],
  ['Wearing_Earrings', 'wear', 'earrings'],
  ['Wearing_Necklace', 'wear', 'a necklace'],
  ['Wearing_Necktie', 'wear', 'a necktie'],
  ['Wearing_Lipstick', 'wear', 'lipstick'],
  ['Heavy_Makeup', 'wear', 'heavy makeup'],
  ['Wearing_Mask', 'wear', 'a face mask'],
  ['Bangs', 'have', 'bangs'],
  ['Receding_Hairline', 'have', 'a receding hairline'],
  ['Double_Chin', 'have', 'a double chin'],
  ['Bushy_Eyebrows', 'have', 'bushy eyebrows'],
  ['Arched_Eyebrows', 'have', 'arched eyebrows'],
  ['Narrow_Eyes', 'have', 'narrow eyes'],
  ['High_Cheekbones', 'have', 'high cheekbones'],
  ['Rosy_Cheeks', 'have', 'rosy cheeks'],
  ['Chubby', 'have', 'full cheeks'],
  ['Big_Nose', 'have', 'a big nose'],
  ['Pointy_Nose', 'have', 'a pointed nose'],
  ['Big_Lips', 'have', 'full lips'],
  ['Oval_Face', 'have', 'an oval face'],
  ['Mustache', 'have', 'a mustache'],
  ['Goatee', 'have', 'a goatee'],
  ['Sideburns', 'have', 'sideburns'],
  ['5_o_Clock_Shadow', 'have', 'stubble'],
];

/** An introduction, then hair, eyes, face, facial hair, expression and what is worn in varied order. */
function sentencesOf(facts: StatedAttributes, draft: Draft, random: Philox, share: number): string[] {
  const { noun } = draft.subject;
  const phrases = phrasesOf(facts, random).filter(({ group }) => group === 'subject' || chance(random, share));
  const of = (group: Group): Phrase[] => random.shuffle(phrases.filter((phrase) => phrase.group === group));
  const speaker = new Speaker(draft, random);

  const age = of('subject').map((phrase) => draft.phrase(phrase));
  const hair = of('hair');
  const [mane] = hair.filter(({ text }) => text.endsWith(' hair'));
  const early = mane !== undefined && chance(random, 0.4);
  const withHair = early ? ` with ${draft.phrase(mane)}` : '';
  const person = withArticle([...age, noun].join(' ')) + withHair;
  const introduction = pick(random, [
    `The photo shows ${person}.`,
    `This is a portrait of ${person}.`,
    `The person in the photo is ${person}.`,
    `This is ${person}.`,
    `The picture shows the face of ${person}.`,
    `In this photo we see ${person}.`,
  ]);
  const sentences = [
    hairSentence(early ? hair.filter((phrase) => phrase !== mane) : hair, facts, speaker),
    eyesSentence(of('eyes'), speaker),
    faceSentence(of('face'), speaker),
    beardSentence(of('beard'), speaker),
    expressionSentence(facts, speaker),
    wornSentence(of('worn'), facts, speaker),
    actionSentence(facts, speaker),
    emotionSentence(facts, speaker),
  ];
  const body = random.shuffle(sentences.filter((sentence) => sentence !== undefined)).map((sentence) => sentence());
  if (facts.Blurry)
    body.push(draft.say(pick(random, ['The photo is blurry.', 'The picture is a little blurred.']), { Blurry: true }));
  return [introduction, ...body];
}

/** Chooses the words for the person; a sentence is written only once its place is known. */
class Speaker {
  readonly draft: Draft;
  readonly random: Philox;

  constructor(draft: Draft, random: Philox) {
    this.draft = draft;
    this.random = random;
  }

  /** "She", or now and then "The woman". */
  subject(): string {
    const { noun, they } = this.draft.subject;
    return chance(this.random, 0.2) ? `The ${noun}` : capitalised(they);
  }

  their(): string {
    return this.draft.subject.their;
  }
}

type Sentence = (() => string) | undefined;

function hairSentence(phrases: Phrase[], facts: StatedAttributes, speaker: Speaker): Sentence {
  const { draft, random } = speaker;
  const bald = phrases.find(({ text }) => text === 'bald');
  if (bald)
    return () => `${speaker.subject()} ${draft.say(pick(random, ['is bald', 'has a bald head']), bald.states)}.`;
  const hair = phrases.find(({ text }) => text.endsWith(' hair'));
  const rest = phrases.filter((phrase) => phrase !== hair);
  if (!hair) return rest.length > 0 ? () => `${speaker.subject()} has ${draft.series(rest)}.` : undefined;
  return () => {
    const extra = rest.length > 0 ? draft.series(rest) : undefined;
    // long hair needs its noun: "hair is long and brown" would not say which belongs together
    if (chance(random, 0.4) && !facts.Long_Hair) {
      const { words, states } = hairWords(facts);
      const sentence = draft.say(`${capitalised(speaker.their())} hair is ${words.join(' and ')}`, states);
      return extra ? `${sentence}, and ${draft.subject.they} has ${extra}.` : `${sentence}.`;
    }
    return `${speaker.subject()} has ${draft.phrase(hair)}${extra ? ` ${pick(random, ['with', 'and'])} ${extra}` : ''}.`;
  };
}

function eyesSentence(phrases: Phrase[], speaker: Speaker): Sentence {
  const { draft, random } = speaker;
  if (phrases.length === 0) return undefined;
  return () => {
    const bags = phrases.find(({ states }) => states.Bags_Under_Eyes);
    const others = phrases.filter((phrase) => phrase !== bags);
    if (!bags) return `${speaker.subject()} has ${draft.series(others)}.`;
    const under = draft.say(`bags under ${speaker.their()} eyes`, bags.states);
    if (others.length === 0) return pick(random, [`There are ${under}.`, `${speaker.subject()} has ${under}.`]);
    return `${speaker.subject()} has ${draft.series(others)}, and there are ${under}.`;
  };
}

function faceSentence(phrases: Phrase[], speaker: Speaker): Sentence {
  const { draft, random } = speaker;
  if (phrases.length === 0) return undefined;
  return () => {
    const oval = phrases.find(({ states }) => states.Oval_Face);
    const others = phrases.filter((phrase) => phrase !== oval);
    if (oval && others.length > 0 && chance(random, 0.5)) {
      const sentence = draft.say(`${capitalised(speaker.their())} face is oval`, oval.states);
      return `${sentence}, with ${draft.series(others)}.`;
    }
    if (phrases.length > 1 && chance(random, 0.25))
      return `${capitalised(speaker.their())} features include ${draft.series(phrases)}.`;
    return `${speaker.subject()} has ${draft.series(phrases)}.`;
  };
}

function beardSentence(phrases: Phrase[], speaker: Speaker): Sentence {
  const { draft } = speaker;
  const shaven = phrases.find(({ role }) => role === 'adjective');
  const hair = phrases.filter((phrase) => phrase !== shaven);
  if (phrases.length === 0) return undefined;
  return () => {
    const predicates = [
      ...(shaven ? [`is ${draft.phrase(shaven)}`] : []),
      ...(hair.length > 0 ? [`has ${draft.series(hair)}`] : []),
    ];
    return `${speaker.subject()} ${series(predicates)}.`;
  };
}

function expressionSentence(facts: StatedAttributes, speaker: Speaker): Sentence {
  const { draft, random } = speaker;
  // A closed mouth is rarely worth a word, a missing smile more often
  const smiling = facts.Smiling || chance(random, 0.5) ? facts.Smiling : undefined;
  const open = facts.Mouth_Slightly_Open || chance(random, 0.25) ? facts.Mouth_Slightly_Open : undefined;
  if (smiling === undefined && open === undefined) return undefined;
  return () => {
    const their = speaker.their();
    const mouth = open === undefined ? '' : draft.say(open ? 'slightly open' : 'closed', { Mouth_Slightly_Open: open });
    if (smiling === undefined) return `${capitalised(their)} mouth is ${mouth}.`;
    draft.say('', { Smiling: smiling });
    if (!smiling) return `${speaker.subject()} is not smiling${mouth && `, and ${their} mouth is ${mouth}`}.`;
    const plain = mouth ? `is smiling with ${their} mouth ${mouth}` : 'is smiling';
    const onFace = `has a smile on ${their} face${mouth && `, and ${their} mouth is ${mouth}`}`;
    return `${speaker.subject()} ${pick(random, [plain, plain, onFace])}.`;
  };
}

/** "She is talking and looking around, and her eyes are closed." */
function actionSentence(facts: StatedAttributes, speaker: Speaker): Sentence {
  const { draft } = speaker;
  const doing = (Object.keys(actionWords) as (keyof typeof actionWords)[]).filter((name) => facts[name]);
  const closed = facts.Eyes_Closed === true;
  if (doing.length === 0 && !closed) return undefined;
  return () => {
    const eyes = closed ? draft.say(`${speaker.their()} eyes are closed`, { Eyes_Closed: true }) : '';
    if (doing.length === 0) return `${capitalised(eyes)}.`;
    const words = series(doing.map((name) => draft.say(actionWords[name], { [name]: true })));
    return `${speaker.subject()} is ${words}${eyes && `, and ${eyes}`}.`;
  };
}

function emotionSentence(facts: StatedAttributes, speaker: Speaker): Sentence {
  const shown = (Object.keys(emotionWords) as (keyof typeof emotionWords)[]).find((name) => facts[name]);
  if (!shown) return undefined;
  return () => `${speaker.subject()} looks ${speaker.draft.say(emotionWords[shown], { [shown]: true })}.`;
}

function wornSentence(phrases: Phrase[], facts: StatedAttributes, speaker: Speaker): Sentence {
  const { draft, random } = speaker;
  const bare = facts.Eyeglasses === false && chance(random, 0.12);
  if (phrases.length === 0 && !bare) return undefined;
  return () => {
    const without = bare ? draft.say('not wearing glasses', { Eyeglasses: false }) : undefined;
    if (phrases.length === 0) return `${speaker.subject()} is ${without}.`;
    const worn = draft.series(phrases);
    if (without) return `${speaker.subject()} is wearing ${worn}, but ${draft.subject.they} is ${without}.`;
    return `${speaker.subject()} ${pick(random, ['is wearing', 'is wearing', 'wears'])} ${worn}.`;
  };
}
