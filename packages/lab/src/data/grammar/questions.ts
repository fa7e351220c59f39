import type { Philox } from '@unif2ace/graph';
import { type AttributeName, type Attributes, resolveAttributes, type StatedAttributes } from './attributes.ts';
import { capitalised, hairColourWords, hairTypeWords, pick, subjectOf } from './phrases.ts';

export interface Question {
  question: string;
  /** yes-no: begins with "Yes," or "No,". choice: the class alone, e.g. "Blond." or "A man." */
  answer: string;
  form: 'yes-no' | 'choice';
  /** What is asked: an attribute, "gender", "age", "hair color" or "hair type". */
  topic: string;
  /** Answer class: "yes", "no", or the word of the choice. */
  label: string;
  /** The labels that decide the answer. */
  evidence: AttributeName[];
}

/** "wear": is wearing x; "have": has x; "be": is x. */
type Verb = 'wear' | 'have' | 'be';

const asked: readonly [AttributeName, Verb, readonly string[]][] = [
  ['Smiling', 'be', ['smiling']],
  ['Bald', 'be', ['bald']],
  ['Eyeglasses', 'wear', ['eyeglasses', 'glasses']],
  ['Wearing_Hat', 'wear', ['a hat']],
  ['Wearing_Earrings', 'wear', ['earrings']],
  ['Wearing_Necklace', 'wear', ['a necklace']],
  ['Wearing_Necktie', 'wear', ['a necktie', 'a tie']],
  ['Wearing_Lipstick', 'wear', ['lipstick']],
  ['Heavy_Makeup', 'wear', ['heavy makeup']],
  ['Bangs', 'have', ['bangs']],
  ['Black_Hair', 'have', ['black hair']],
  ['Blond_Hair', 'have', ['blond hair']],
  ['Brown_Hair', 'have', ['brown hair']],
  ['Gray_Hair', 'have', ['gray hair']],
  ['Straight_Hair', 'have', ['straight hair']],
  ['Wavy_Hair', 'have', ['wavy hair']],
  ['Receding_Hairline', 'have', ['a receding hairline']],
  ['No_Beard', 'have', ['a beard']],
  ['Mustache', 'have', ['a mustache']],
  ['Goatee', 'have', ['a goatee']],
  ['Sideburns', 'have', ['sideburns']],
  ['5_o_Clock_Shadow', 'have', ["a five o'clock shadow", 'stubble']],
  ['Arched_Eyebrows', 'have', ['arched eyebrows']],
  ['Bushy_Eyebrows', 'have', ['bushy eyebrows', 'thick eyebrows']],
  ['Narrow_Eyes', 'have', ['narrow eyes']],
  ['Bags_Under_Eyes', 'have', ['bags under the eyes']],
  ['Big_Nose', 'have', ['a big nose', 'a large nose']],
  ['Pointy_Nose', 'have', ['a pointed nose', 'a pointy nose']],
  ['Big_Lips', 'have', ['full lips', 'big lips']],
  ['High_Cheekbones', 'have', ['high cheekbones']],
  ['Rosy_Cheeks', 'have', ['rosy cheeks']],
  ['Oval_Face', 'have', ['an oval face']],
  ['Chubby', 'have', ['full cheeks', 'chubby cheeks']],
  ['Double_Chin', 'have', ['a double chin']],
];

/** True, false or unknown for a yes/no topic; the false ones that `resolveAttributes` drops as implied come back here. */
function factFor(name: AttributeName, facts: StatedAttributes): boolean | undefined {
  if (name === 'No_Beard') return facts.No_Beard === undefined ? undefined : !facts.No_Beard;
  for (const words of [hairColourWords, hairTypeWords])
    if (name in words)
      return Object.keys(words).some((other) => facts[other as AttributeName]) ? facts[name] === true : undefined;
  return facts[name];
}

function yesNo(
  name: AttributeName,
  verb: Verb,
  wordings: readonly string[],
  yes: boolean,
  they: string,
  random: Philox,
): Question {
  const asker = pick(random, ['the person', 'the person', 'this person', they]);
  const who = asker === they ? they : 'the person';
  const thing = pick(random, wordings);
  // The canonical word in the answer, whatever the question used
  const canonical = wordings[0]!;
  const not = yes ? '' : ' not';
  const question = {
    be: [`Is ${asker} ${thing}?`],
    have: [`Does ${asker} have ${thing}?`],
    wear: [`Is ${asker} wearing ${thing}?`, `Is ${asker} wearing ${thing}?`, `Does ${asker} wear ${thing}?`],
  }[verb];
  const statement = {
    be: `is${not} ${canonical}`,
    have: yes ? `has ${canonical}` : `does not have ${canonical}`,
    wear: `is${not} wearing ${canonical}`,
  }[verb];
  return {
    question: pick(random, question),
    answer: `${yes ? 'Yes' : 'No'}, ${who} ${statement}.`,
    form: 'yes-no',
    topic: name,
    label: yes ? 'yes' : 'no',
    evidence: [name],
  };
}

/** One question in several wordings, all with the same answer. */
interface Topic extends Omit<Question, 'question'> {
  questions: string[];
}

function wordedTopics(facts: StatedAttributes): Topic[] {
  const { noun, they, their } = subjectOf(facts);
  const topics: Topic[] = [];
  const yesOrNo = (topic: string, name: AttributeName, yes: boolean, statement: string, questions: string[]) => {
    const word = yes ? 'yes' : 'no';
    const answer = `${capitalised(word)}, ${statement}.`;
    topics.push({ topic, label: word, evidence: [name], form: 'yes-no', answer, questions });
  };
  const choice = (topic: string, name: AttributeName, label: string, answer: string, questions: string[]) =>
    topics.push({ topic, label, evidence: [name], form: 'choice', answer: `${capitalised(answer)}.`, questions });

  const open = facts.Mouth_Slightly_Open === true;
  yesOrNo('Mouth_Slightly_Open', 'Mouth_Slightly_Open', open, `the mouth is ${open ? 'slightly open' : 'closed'}`, [
    "Is the person's mouth open?",
    `Is ${their} mouth slightly open?`,
  ]);
  const blurry = facts.Blurry === true;
  yesOrNo('Blurry', 'Blurry', blurry, `the photo is${blurry ? '' : ' not'} blurry`, [
    'Is the photo blurry?',
    'Is this picture blurry?',
  ]);
  for (const asked of ['man', 'woman'])
    yesOrNo(`Male (${asked})`, 'Male', asked === noun, `this is a ${noun}`, [
      `Is this a ${asked}?`,
      `Is the person a ${asked}?`,
      `Does the photo show a ${asked}?`,
    ]);
  const young = facts.Young === true;
  yesOrNo('Young', 'Young', young, `the person looks ${young ? 'young' : 'older'}`, [
    'Does the person look young?',
    `Does ${they} look young?`,
    'Is this person young-looking?',
  ]);

  choice('gender', 'Male', noun, `a ${noun}`, [
    'Is this a man or a woman?',
    'Is the person a man or a woman?',
    'Does the photo show a man or a woman?',
  ]);
  choice('age', 'Young', young ? 'young' : 'older', young ? 'young' : 'older', [
    'Does the person look young or older?',
    `Does ${they} look young or older?`,
  ]);
  for (const [name, word] of Object.entries(hairColourWords) as [AttributeName, string][])
    if (facts[name])
      choice('hair color', name, word, word, [
        "What color is the person's hair?",
        `What color is ${their} hair?`,
        'What is the hair color?',
      ]);
  for (const [name, word] of Object.entries(hairTypeWords) as [AttributeName, string][])
    if (facts[name])
      choice('hair type', name, word, word, [
        "Is the person's hair straight or wavy?",
        `Is ${their} hair straight or wavy?`,
        'Is the hair straight or wavy?',
      ]);
  return topics;
}

interface Askable {
  topic: string;
  label: string;
  phrase(random: Philox): Question;
}

/** Everything that can be asked about a face, each with the label of its answer; `phrase` puts it into words. */
function topicsOf(labels: Attributes): Askable[] {
  const facts = resolveAttributes(labels);
  const { they } = subjectOf(facts);
  const topics: Askable[] = [];
  for (const [name, verb, wordings] of asked) {
    const yes = factFor(name, facts);
    if (yes === undefined) continue;
    const phrase = (random: Philox) => yesNo(name, verb, wordings, yes, they, random);
    topics.push({ topic: name, label: yes ? 'yes' : 'no', phrase });
  }
  for (const { questions, ...rest } of wordedTopics(facts)) {
    const phrase = (random: Philox) => ({ question: pick(random, questions), ...rest });
    topics.push({ topic: rest.topic, label: rest.label, phrase });
  }
  return topics;
}

/**
 * Every question that the labels can answer, each once, in fixed order with varied words. Contradictory labels give no
 * question. Not balanced: most answers are "No"; train on `QuestionBank` instead.
 */
export function questionsAbout(labels: Attributes, random: Philox): Question[] {
  return topicsOf(labels).map(({ phrase }) => phrase(random));
}

/**
 * Draws questions over a set of faces so that, within each topic, every answer is equally likely: "No" alone would
 * otherwise be right nine times in ten. Topics are drawn in proportion to the square root of their rarest answer, so that
 * the few bald heads are not shown over and over.
 */
export class QuestionBank {
  readonly #faces: readonly Attributes[];
  readonly #topics: { topic: string; faces: number[][] }[];
  readonly #weights: number[];

  /** @throws RangeError when no topic has faces for two different answers. */
  constructor(faces: readonly Attributes[]) {
    const byTopic = new Map<string, Map<string, number[]>>();
    for (const [index, labels] of faces.entries())
      for (const { topic, label } of topicsOf(labels)) {
        const answers = byTopic.get(topic) ?? new Map<string, number[]>();
        byTopic.set(topic, answers);
        const indices = answers.get(label) ?? [];
        answers.set(label, indices);
        indices.push(index);
      }
    this.#faces = faces;
    this.#topics = [...byTopic]
      .filter(([, answers]) => answers.size > 1)
      .map(([topic, answers]) => ({
        topic,
        faces: [...answers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, indices]) => indices),
      }))
      .sort((a, b) => (a.topic < b.topic ? -1 : 1));
    if (this.#topics.length === 0)
      throw new RangeError(
        `QuestionBank: expected faces that differ, got ${faces.length} without a topic of two answers; try more faces`,
      );
    this.#weights = this.#topics.map((entry) => Math.sqrt(Math.min(...entry.faces.map((indices) => indices.length))));
  }

  get topics(): string[] {
    return this.#topics.map(({ topic }) => topic);
  }

  /** A topic, then one of its answers, then a face that has it. `face` is the index into the constructor's list. */
  draw(random: Philox): { face: number; question: Question } {
    const { topic, faces } = this.#topics[random.categorical(this.#weights)]!;
    const face = pick(random, pick(random, faces));
    const entry = topicsOf(this.#faces[face]!).find((candidate) => candidate.topic === topic)!;
    return { face, question: entry.phrase(random) };
  }
}

/** The answer class of a generated answer: "yes", "no" or the word of a choice; undefined when it is none of them. */
export function readAnswer(question: Pick<Question, 'form' | 'topic'>, answer: string): string | undefined {
  const words: readonly string[] = answer.toLowerCase().match(/[a-z]+/g) ?? [];
  if (question.form === 'yes-no') return words[0] === 'yes' || words[0] === 'no' ? words[0] : undefined;
  const classes: Record<string, readonly string[]> = {
    gender: ['man', 'woman'],
    age: ['young', 'older'],
    'hair color': Object.values(hairColourWords),
    'hair type': Object.values(hairTypeWords),
  };
  const found = (classes[question.topic] ?? []).filter((word) => words.includes(word));
  return found.length === 1 ? found[0] : undefined;
}
