import type { Philox } from '@unif2ace/graph';
import type { QuestionKind, RecordQuestion } from '../build/types.ts';
import { type AttributeName, resolveAttributes, type StatedAttributes } from './attributes.ts';
import { capitalised, pick, series, subjectOf } from './phrases.ts';
import { questionsAbout } from './questions.ts';

/** Said after "is": a state that can be joined with another. */
const states = {
  Smiling: 'smiling',
  Eyeglasses: 'wearing eyeglasses',
  Wearing_Hat: 'wearing a hat',
  Wearing_Earrings: 'wearing earrings',
  Wearing_Necklace: 'wearing a necklace',
  Wearing_Necktie: 'wearing a necktie',
  Wearing_Lipstick: 'wearing lipstick',
  Sunglasses: 'wearing sunglasses',
  Talking: 'talking',
  Laughing: 'laughing',
} as const satisfies Partial<Record<AttributeName, string>>;
type State = keyof typeof states;

const accessories = {
  Eyeglasses: 'eyeglasses',
  Sunglasses: 'sunglasses',
  Wearing_Hat: 'a hat',
  Wearing_Earrings: 'earrings',
  Wearing_Necklace: 'a necklace',
  Wearing_Necktie: 'a necktie',
} as const satisfies Partial<Record<AttributeName, string>>;
type Accessory = keyof typeof accessories;

const counts = ['none', 'one', 'two', 'three', 'four', 'five', 'six'];

const unanswerable = [
  ["What is the person's name?", 'name'],
  ['How tall is the person?', 'height'],
  ['Which shoes is the person wearing?', 'shoes'],
  ['Where was the photo taken?', 'place'],
  ['What does the person do for a living?', 'profession'],
  ['On what day was the photo taken?', 'date'],
  ['How many brothers and sisters does the person have?', 'family'],
  ['What is the person holding behind the back?', 'hidden'],
] as const;

/** How many of the accessories that are known, all named in the question. */
function countQuestion(facts: StatedAttributes): RecordQuestion[] {
  const known = (Object.keys(accessories) as Accessory[]).filter((name) => facts[name] !== undefined);
  if (known.length < 3) return [];
  const worn = known.filter((name) => facts[name]);
  const label = counts[worn.length]!;
  const named = worn.length > 0 ? `: ${series(worn.map((name) => accessories[name]))}` : '';
  const list = known.map((name) => accessories[name]);
  return [
    {
      kind: 'count',
      topic: 'accessories',
      question: `How many of these is the person wearing: ${list.slice(0, -1).join(', ')}, ${list.at(-1)}?`,
      answer: `${capitalised(label)}${named}.`,
      label,
      evidence: known,
    },
  ];
}

/** Which of two that are known, one present and one absent. */
function compareQuestions(facts: StatedAttributes, random: Philox): RecordQuestion[] {
  const known = (Object.keys(accessories) as Accessory[]).filter((name) => facts[name] !== undefined);
  const [worn, bare] = [known.filter((name) => facts[name]), known.filter((name) => !facts[name])];
  if (worn.length === 0 || bare.length === 0) return [];
  const [yes, no] = [pick(random, worn), pick(random, bare)];
  const [first, second] = random.uniform() < 0.5 ? [yes, no] : [no, yes];
  return [
    {
      kind: 'compare',
      topic: 'accessories',
      question: `Which of the two is the person wearing, ${accessories[first]} or ${accessories[second]}?`,
      answer: `${capitalised(accessories[yes])}.`,
      label: accessories[yes],
      evidence: [yes, no],
    },
  ];
}

/** Two attributes have to be put together; every combination of truth comes up. */
function reasonQuestions(facts: StatedAttributes, random: Philox, count: number): RecordQuestion[] {
  const known = random.shuffle((Object.keys(states) as State[]).filter((name) => facts[name] !== undefined));
  // a true one in front, or nearly all answers would be no
  known.sort((a, b) => Number(facts[b]) - Number(facts[a]));
  const questions: RecordQuestion[] = [];
  for (let i = 0; i < count && known.length >= 2; i++) {
    const a = known[i % known.length]!;
    const others = known.filter((name) => name !== a);
    const b = pick(random, others);
    const form = pick(random, ['both', 'either', 'without'] as const);
    const truth = { both: facts[a] && facts[b], either: facts[a] || facts[b], without: facts[a] && !facts[b] }[form];
    const question = {
      both: `Is the person both ${states[a]} and ${states[b]}?`,
      either: `Is the person ${states[a]} or ${states[b]}, or both?`,
      without: `Is the person ${states[a]} but not ${states[b]}?`,
    }[form];
    const said = (name: State) => `${facts[name] ? '' : 'not '}${states[name]}`;
    const joint = facts[a] === facts[b] ? 'and' : 'but';
    questions.push({
      kind: 'reason',
      topic: [a, b].sort().join(' + '),
      question,
      answer: `${truth ? 'Yes' : 'No'}, ${subjectOf(facts).they} is ${said(a)} ${joint} ${said(b)}.`,
      label: truth ? 'yes' : 'no',
      evidence: [a, b],
    });
  }
  return questions;
}

function unanswerableQuestion(random: Philox): RecordQuestion {
  const [question, topic] = pick(random, unanswerable);
  return {
    kind: 'unanswerable',
    topic,
    question,
    answer: 'The photo does not show that.',
    label: 'unknown',
    evidence: [],
  };
}

const kindOf = (form: 'yes-no' | 'choice', topic: string): QuestionKind => {
  if (form === 'yes-no') return 'yes-no';
  return topic === 'hair color' ? 'color' : 'choice';
};

/**
 * Questions of every kind about a face, 12 where enough is known: yes and no about equally often, choices and colors,
 * counting, comparing, reasoning over two attributes, and one that no photo answers. Every question occurs once.
 */
export function questionSet(labels: StatedAttributes, random: Philox): RecordQuestion[] {
  const facts = resolveAttributes(labels);
  const all = random.shuffle(questionsAbout(labels, random)).map(
    ({ form, topic, question, answer, label, evidence }): RecordQuestion => ({
      kind: kindOf(form, topic),
      topic,
      question,
      answer,
      label,
      evidence,
    }),
  );
  const yes = all.filter(({ kind, label }) => kind === 'yes-no' && label === 'yes').slice(0, 3);
  const no = all.filter(({ kind, label }) => kind === 'yes-no' && label === 'no').slice(0, 3);
  return [
    ...yes,
    ...no,
    ...all.filter(({ kind }) => kind === 'choice').slice(0, 2),
    ...all.filter(({ kind }) => kind === 'color').slice(0, 1),
    ...countQuestion(facts),
    ...compareQuestions(facts, random),
    ...reasonQuestions(facts, random, 1),
    unanswerableQuestion(random),
  ];
}
