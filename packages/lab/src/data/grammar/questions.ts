import type { Philox } from '@unif2ace/graph';
import { type AttributeName, resolveAttributes, type StatedAttributes } from './attributes.ts';
import { capitalised, hairColourWords, hairTypeWords, pick, subjectOf } from './phrases.ts';
import { actionWords, emotionWords } from './vocabulary.ts';

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
  ['Long_Hair', 'have', ['long hair']],
  ['Sunglasses', 'wear', ['sunglasses']],
  ['Wearing_Mask', 'wear', ['a face mask']],
  ...Object.entries(actionWords).map(
    ([name, words]) => [name as AttributeName, 'be', [words]] as [AttributeName, Verb, string[]],
  ),
];

/** True, false or unknown for a yes/no topic; the false ones that `resolveAttributes` drops as implied come back here. */
function factFor(name: AttributeName, facts: StatedAttributes): boolean | undefined {
  if (name === 'No_Beard') return facts.No_Beard === undefined ? undefined : !facts.No_Beard;
  for (const words of [hairColourWords, hairTypeWords])
    if (name in words)
      return Object.keys(words).some((other) => facts[other as AttributeName]) ? facts[name] === true : undefined;
  return facts[name];
}

function insteadOf(name: AttributeName, facts: StatedAttributes): AttributeName[] {
  const words = name in hairColourWords ? hairColourWords : hairTypeWords;
  return (Object.keys(words) as AttributeName[]).filter((other) => facts[other]);
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

  const open = facts.Mouth_Slightly_Open;
  if (open !== undefined)
    yesOrNo('Mouth_Slightly_Open', 'Mouth_Slightly_Open', open, `the mouth is ${open ? 'slightly open' : 'closed'}`, [
      "Is the person's mouth open?",
      `Is ${their} mouth slightly open?`,
    ]);
  const blurry = facts.Blurry;
  if (blurry !== undefined)
    yesOrNo('Blurry', 'Blurry', blurry, `the photo is${blurry ? '' : ' not'} blurry`, [
      'Is the photo blurry?',
      'Is this picture blurry?',
    ]);
  for (const asked of facts.Male === undefined ? [] : ['man', 'woman'])
    yesOrNo(`Male (${asked})`, 'Male', asked === noun, `this is a ${noun}`, [
      `Is this a ${asked}?`,
      `Is the person a ${asked}?`,
      `Does the photo show a ${asked}?`,
    ]);
  const young = facts.Young;
  if (young !== undefined)
    yesOrNo('Young', 'Young', young, `the person looks ${young ? 'young' : 'older'}`, [
      'Does the person look young?',
      `Does ${they} look young?`,
      'Is this person young-looking?',
    ]);

  if (facts.Male !== undefined)
    choice('gender', 'Male', noun, `a ${noun}`, [
      'Is this a man or a woman?',
      'Is the person a man or a woman?',
      'Does the photo show a man or a woman?',
    ]);
  if (young !== undefined)
    choice('age', 'Young', young ? 'young' : 'older', young ? 'young' : 'older', [
      'Does the person look young or older?',
      `Does ${they} look young or older?`,
    ]);
  for (const [name, word] of Object.entries(emotionWords) as [AttributeName, string][])
    if (facts[name])
      choice('emotion', name, word, word, [
        'What does the face express?',
        'How does the person look: happy, sad, angry, afraid, surprised, disgusted, contemptuous or calm?',
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
function topicsOf(labels: StatedAttributes): Askable[] {
  const facts = resolveAttributes(labels);
  const { they } = subjectOf(facts);
  const topics: Askable[] = [];
  for (const [name, verb, wordings] of asked) {
    const yes = factFor(name, facts);
    if (yes === undefined) continue;
    // a hair colour that no label speaks of is ruled out by the one that is there
    const evidence = labels[name] === undefined ? insteadOf(name, facts) : [name];
    const phrase = (random: Philox) => ({ ...yesNo(name, verb, wordings, yes, they, random), evidence });
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
export function questionsAbout(labels: StatedAttributes, random: Philox): Question[] {
  return topicsOf(labels).map(({ phrase }) => phrase(random));
}

/**
 * Draws questions about faces. With balance 1, over all faces and within each topic, every answer is about equally likely
 * ("No" alone would otherwise be right nine times in ten); with 0, answers are as frequent as they are; between, the
 * frequencies are tempered. Topics are asked in proportion to the square root of their rarest answer, so that the few
 * bald heads are not shown over and over.
 */
export class QuestionBank {
  readonly #faces: readonly StatedAttributes[];
  /** Weight of asking a topic of a face with a given answer, by topic and answer. */
  readonly #weights: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Faces by topic and answer. */
  readonly #answered: readonly { weight: number; answers: readonly (readonly number[])[] }[];

  /**
   * @param emphasis factors by topic, of how often it is asked; default 1.
   * @throws RangeError when no topic has faces for two different answers, or the emphasis names another topic.
   */
  constructor(faces: readonly StatedAttributes[], balance = 1, emphasis: Readonly<Record<string, number>> = {}) {
    const found = new Map<string, Map<string, number[]>>();
    faces.forEach((labels, face) => {
      for (const { topic, label } of topicsOf(labels)) {
        const answers = found.get(topic) ?? new Map<string, number[]>();
        const sharing = answers.get(label) ?? [];
        sharing.push(face);
        found.set(topic, answers.set(label, sharing));
      }
    });
    const asked = [...found].filter(([, answers]) => answers.size > 1);
    for (const topic of Object.keys(emphasis))
      if (!found.has(topic))
        throw new RangeError(
          `QuestionBank: emphasis: expected topics of these faces, got ${topic}; try one of ${[...found.keys()].join(', ')}`,
        );
    this.#faces = faces;
    const topicWeight = (topic: string, counts: readonly number[]) =>
      Math.sqrt(Math.min(...counts)) * (emphasis[topic] ?? 1);
    this.#weights = new Map(
      asked.map(([topic, answers]) => {
        const counts = [...answers.values()].map(({ length }) => length);
        // a label comes up count · count^−balance times
        const tempered = counts.reduce((sum, count) => sum + count ** (1 - balance), 0);
        const weight = (count: number) => (topicWeight(topic, counts) * count ** -balance) / tempered;
        return [topic, new Map([...answers].map(([label, { length }]) => [label, weight(length)]))];
      }),
    );
    this.#answered = asked.map(([topic, answers]) => ({
      weight: topicWeight(
        topic,
        [...answers.values()].map(({ length }) => length),
      ),
      answers: [...answers.values()],
    }));
    if (this.#weights.size === 0)
      throw new RangeError(
        `QuestionBank: expected faces that differ, got ${faces.length} without a topic of two answers; try more faces`,
      );
  }

  get topics(): string[] {
    return [...this.#weights.keys()].sort();
  }

  /** A face for a topic, drawn as topics are asked, and each of its answers equally often: rare traits are seen more often. */
  face(random: Philox): number {
    const { answers } = this.#answered[random.categorical(this.#answered.map(({ weight }) => weight))]!;
    return pick(random, pick(random, answers));
  }

  /** Endless questions about a face (index into the constructor's list), on different topics until all were asked. */
  *about(face: number, random: Philox): Generator<Question, never> {
    const all = topicsOf(this.#faces[face]!).flatMap(({ topic, label, phrase }) => {
      const weight = this.#weights.get(topic)?.get(label);
      return weight === undefined ? [] : [{ weight, phrase }];
    });
    if (all.length === 0) throw new RangeError(`QuestionBank: nothing to ask about face ${face}`);
    for (let left = [...all]; ; left = left.length > 0 ? left : [...all]) {
      const [drawn] = left.splice(random.categorical(left.map(({ weight }) => weight)), 1);
      yield drawn!.phrase(random);
    }
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
    emotion: Object.values(emotionWords),
  };
  const found = (classes[question.topic] ?? []).filter((word) => words.includes(word));
  return found.length === 1 ? found[0] : undefined;
}
