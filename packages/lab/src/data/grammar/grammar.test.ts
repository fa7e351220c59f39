import { Philox } from '@unif2ace/graph';
import { describe, expect, it } from 'vitest';
import {
  type AttributeName,
  attributeNames,
  furtherNames,
  resolveAttributes,
  type StatedAttributes,
} from './attributes.ts';
import { type CaptionLength, captionFace, listCaption } from './caption.ts';
import { parseCaption } from './parse.ts';
import { QuestionBank, questionsAbout, readAnswer } from './questions.ts';

const lengths: CaptionLength[] = ['short', 'medium', 'long', 'full'];

/** Every label a coin toss: far more contradictions than real labels have. */
const randomFace = (seed: number): StatedAttributes => {
  const random = new Philox(seed, 77);
  return Object.fromEntries(attributeNames.map((name) => [name, random.uniform() < 0.5])) as Record<
    AttributeName,
    boolean
  >;
};
const faces = Array.from({ length: 1000 }, (_, seed) => randomFace(seed));
const face = (...present: AttributeName[]): StatedAttributes =>
  Object.fromEntries(attributeNames.map((name) => [name, present.includes(name)])) as Record<AttributeName, boolean>;
/** As from a source that knows more than CelebA of some faces, and less of others. */
const mixedFaces = Array.from({ length: 500 }, (_, seed): StatedAttributes => {
  const random = new Philox(seed, 78);
  const known = [...attributeNames, ...furtherNames].filter(() => random.uniform() < 0.7);
  return Object.fromEntries(known.map((name) => [name, random.uniform() < 0.2]));
});
const captions = [...faces, ...mixedFaces].flatMap((labels, i) => [
  ...lengths.map((length, k) => ({ labels, ...captionFace(labels, new Philox(5, i, k), length) })),
  { labels, length: 'list' as const, ...listCaption(labels, new Philox(5, i, 9)) },
]);

const forbidden =
  /attractive|beaut|pretty|handsome|ugly|\b(?:race|racial|ethnic\w*|white|asian|african|european|caucasian|hispanic|latin[ao]|indian|skin|pale|dark|fair)\b/i;

/** Rules of the world, written apart from the grammar: at most one of each set, and nothing beside what it excludes. */
function contradictions(stated: StatedAttributes): string[] {
  const on = (name: AttributeName) => stated[name] === true;
  const hair: AttributeName[] = ['Black_Hair', 'Blond_Hair', 'Brown_Hair', 'Gray_Hair'];
  const rules: Record<string, boolean> = {
    'two hair colours': hair.filter(on).length > 1,
    'straight and wavy': on('Straight_Hair') && on('Wavy_Hair'),
    'bald with hair':
      on('Bald') &&
      [...hair, 'Bangs', 'Straight_Hair', 'Wavy_Hair', 'Receding_Hairline'].some((name) => on(name as AttributeName)),
    'bangs over a receding hairline': on('Bangs') && on('Receding_Hairline'),
    'clean-shaven with a beard': on('No_Beard') && (on('Goatee') || on('Mustache') || on('5_o_Clock_Shadow')),
    'a bearded woman':
      stated.Male === false &&
      (['Goatee', 'Mustache', '5_o_Clock_Shadow', 'Sideburns', 'No_Beard'] as const).some((name) => name in stated),
  };
  return Object.keys(rules).filter((rule) => rules[rule]);
}

describe('captions', () => {
  it('say exactly what they claim to say, and only what the labels say', () => {
    for (const { text, stated, labels } of captions) {
      expect(parseCaption(text), text).toEqual(stated);
      for (const [name, value] of Object.entries(stated))
        expect(labels[name as AttributeName], `${name} in: ${text}`).toBe(value);
    }
  });

  it('never contradict themselves', () => {
    for (const { text } of captions) expect(contradictions(parseCaption(text)), text).toEqual([]);
  });

  it('use no forbidden word and a small vocabulary', () => {
    const words = new Set<string>();
    for (const { text } of captions) {
      expect(text).not.toMatch(forbidden);
      for (const word of text.toLowerCase().match(/[a-z'-]+/g) ?? []) words.add(word);
    }
    expect(words.size).toBeGreaterThan(80);
    expect(words.size).toBeLessThan(350);
  });

  it('agree in gender, articles and punctuation', () => {
    for (const { text, labels, length } of captions) {
      if (labels.Male === undefined) {
        expect(text).not.toMatch(/\b(man|he|his|woman|she|her)\b/i);
        continue;
      }
      const [own, other] = labels.Male
        ? [/\b(man|he|his)\b/i, /\b(woman|she|her)\b/i]
        : [/\b(woman|she|her)\b/i, /\b(man|he|his)\b/i];
      expect(text).toMatch(own);
      expect(text).not.toMatch(other);
      expect(text).not.toMatch(/\ba [aeiou]|\ban [^aeiou]| {2}| [,.]|,,|\.\.|\band and\b/i);
      if (length === 'short' || length === 'list') expect(text).not.toMatch(/\.$|^[A-Z]/);
      else expect(text).toMatch(/^[A-Z].*\.$/);
    }
  });

  it('vary: at least 90 % of 1,500 are distinct at every length, and one face gets many', () => {
    for (const length of lengths) {
      const texts = captions.filter((caption) => caption.length === length).map(({ text }) => text);
      expect(new Set(texts).size).toBeGreaterThanOrEqual(1350);
    }
    const same = Array.from({ length: 200 }, (_, i) => captionFace(faces[0]!, new Philox(i), 'medium').text);
    expect(new Set(same).size).toBeGreaterThan(180);
  });

  it('grow with their length', () => {
    const mean = (length: CaptionLength) => {
      const some = captions.filter((caption) => caption.length === length);
      return some.reduce((sum, { stated }) => sum + Object.keys(stated).length, 0) / some.length;
    };
    expect(mean('short')).toBeLessThan(6);
    expect(mean('medium')).toBeGreaterThan(mean('short') + 1);
    expect(mean('long')).toBeGreaterThan(mean('medium') + 3);
    const full = captions.filter((caption) => caption.length === 'full' && Object.keys(caption.labels).length >= 40);
    expect(Math.min(...full.map(({ stated }) => Object.keys(stated).length))).toBeGreaterThanOrEqual(12);
    expect(mean('full')).toBeGreaterThan(15);
  });

  it('depend on the seed alone', () => {
    for (const [i, labels] of faces.slice(0, 50).entries()) {
      expect(captionFace(labels, new Philox(8, i))).toEqual(captionFace(labels, new Philox(8, i)));
    }
    expect(captionFace(faces[0]!, new Philox(1), 'long').text).not.toBe(
      captionFace(faces[0]!, new Philox(2), 'long').text,
    );
  });

  it('lists say more of a face than prompts do, what is absent too, in any order', () => {
    const smiles = (of: readonly { stated: StatedAttributes }[]) =>
      of.filter(({ stated }) => 'Smiling' in stated).length;
    const [lists, prompts] = (['list', 'short'] as const).map((kind) =>
      captions.filter(({ length }) => length === kind),
    );
    expect(smiles(lists!)).toBeGreaterThan(2 * smiles(prompts!));
    expect(lists!.some(({ stated }) => stated.Eyeglasses === false)).toBe(true);
    const sameFace = new Set(Array.from({ length: 20 }, (_, i) => listCaption(faces[0]!, new Philox(i)).text));
    expect(sameFace.size).toBe(20);
  });
});

describe('resolveAttributes', () => {
  it('keeps a mustache on a shaven chin but not the word clean-shaven', () => {
    const facts = resolveAttributes(face('Male', 'No_Beard', 'Mustache'));
    expect(facts.Mustache).toBe(true);
    expect(facts.No_Beard).toBeUndefined();
  });

  it('leaves out both sides of a contradiction', () => {
    expect(resolveAttributes(face('Male', 'No_Beard', 'Goatee'))).not.toHaveProperty('Goatee');
    expect(resolveAttributes(face('Black_Hair', 'Blond_Hair'))).not.toHaveProperty('Black_Hair');
    expect(resolveAttributes(face('Bald', 'Bangs'))).not.toHaveProperty('Bald');
  });
});

describe('parseCaption', () => {
  it('reads sentences that the grammar does not write', () => {
    expect(parseCaption('An elderly man without a hat, he has grey hair, no beard and isn’t smiling.')).toEqual({
      Male: true,
      Young: false,
      Wearing_Hat: false,
      Gray_Hair: true,
      No_Beard: true,
      Smiling: false,
    });
    expect(parseCaption('young woman, blonde hair, glasses')).toEqual({
      Male: false,
      Young: true,
      Blond_Hair: true,
      Eyeglasses: true,
    });
  });

  it('reads nothing from nothing, and nothing from a text that says both', () => {
    expect(parseCaption('')).toEqual({});
    expect(parseCaption('She is smiling. She is not smiling.')).toEqual({ Male: false });
  });
});

describe('questions', () => {
  const all = faces.flatMap((labels, i) =>
    questionsAbout(labels, new Philox(6, i)).map((question) => ({ labels, question })),
  );

  it('are answered as the labels say, in a form that can be read back', () => {
    for (const { labels, question } of all) {
      expect(readAnswer(question, question.answer), JSON.stringify(question)).toBe(question.label);
      expect(question.question).toMatch(/^[A-Z].*\?$/);
      expect(question.answer).toMatch(
        question.form === 'yes-no' ? /^(Yes|No), .*\.$/ : /^[A-Z][a-z]*( (man|woman))?\.$/,
      );
      expect(`${question.question} ${question.answer}`).not.toMatch(forbidden);
      expect(question.evidence.length).toBeGreaterThan(0);
      const [name] = question.evidence;
      const label = labels[name!];
      if (question.form === 'yes-no' && question.topic === name)
        expect(question.label === 'yes').toBe(name === 'No_Beard' ? !label : label);
      if (question.form === 'choice' && question.topic.startsWith('hair')) expect(label).toBe(true);
    }
  });

  it('state in a yes/no answer what the evidence says', () => {
    for (const { labels, question } of all) {
      const name = question.evidence[0]!;
      if (question.form !== 'yes-no') continue;
      expect(parseCaption(question.answer)[name], JSON.stringify(question)).toBe(labels[name]);
    }
  });

  it('cover the examples of the paper’s kind', () => {
    const asked = questionsAbout(face('Male', 'Eyeglasses', 'Black_Hair', 'No_Beard'), new Philox(4));
    expect(asked.find(({ topic }) => topic === 'Eyeglasses')!.answer).toMatch(
      /^Yes, (the person|he) is wearing eyeglasses\.$/,
    );
    expect(asked.find(({ topic }) => topic === 'gender')!.answer).toBe('A man.');
    expect(asked.find(({ topic }) => topic === 'hair color')!.answer).toBe('Black.');
    expect(asked.find(({ topic }) => topic === 'No_Beard')!.answer).toMatch(/^No, .* does not have a beard\.$/);
  });
});

describe('QuestionBank', () => {
  /** Each label present with the frequency of real ones: rare. */
  const rare = Array.from({ length: 2000 }, (_, seed) => {
    const random = new Philox(seed, 3);
    return Object.fromEntries(
      attributeNames.map((name) => [name, random.uniform() < (name === 'Male' ? 0.4 : 0.07)]),
    ) as Record<AttributeName, boolean>;
  });
  const bank = new QuestionBank(rare);

  /** Answers by topic over many faces, two questions each. */
  function tally(bank: QuestionBank): Map<string, Map<string, number>> {
    const random = new Philox(12);
    const counts = new Map<string, Map<string, number>>();
    for (let round = 0; round < 20; round++)
      for (let face = 0; face < rare.length; face++) {
        const { value: question } = bank.about(face, random).next();
        const labels = counts.get(question.topic) ?? new Map<string, number>();
        counts.set(question.topic, labels.set(question.label, (labels.get(question.label) ?? 0) + 1));
        if (question.topic === 'Eyeglasses') expect(rare[face]!.Eyeglasses).toBe(question.label === 'yes');
      }
    return counts;
  }

  it.each([
    [1, 'as often as the other', 1],
    [0.5, 'at odds tempered by the square root', 0.5],
    [0, 'as often as it is', 0],
  ])('with balance %s each answer comes %s', (balance, _, exponent) => {
    const tempered = new QuestionBank(rare, balance);
    const counts = tally(tempered);
    expect([...counts.keys()].sort()).toEqual(tempered.topics);
    for (const topic of ['Eyeglasses', 'Smiling', 'Wearing_Hat', 'Bangs']) {
      const yes = rare.filter((labels) => labels[topic as AttributeName]).length;
      const odds = (yes / (rare.length - yes)) ** (1 - exponent);
      const asked = counts.get(topic)!;
      const ratio = asked.get('yes')! / asked.get('no')!;
      // faces differ in what else can be asked of them: the balance is about right, not exact
      expect(ratio / odds, topic).toBeGreaterThan(0.7);
      expect(ratio / odds, topic).toBeLessThan(1.4);
    }
  });

  it('an emphasised topic is asked more often, and picks its faces: half of them with the rare trait', () => {
    const loud = new QuestionBank(rare, 1, { Eyeglasses: 8 });
    const asked = (bank: QuestionBank) => [...(tally(bank).get('Eyeglasses')?.values() ?? [])].reduce((a, b) => a + b);
    expect(asked(loud) / asked(bank)).toBeGreaterThan(4);
    const random = new Philox(8);
    const only = new QuestionBank(rare, 1, { Eyeglasses: 1e6 });
    const drawn = Array.from({ length: 1000 }, () => rare[only.face(random)]!.Eyeglasses);
    expect(drawn.filter(Boolean).length).toBeGreaterThan(440);
    expect(drawn.filter(Boolean).length).toBeLessThan(560);
    expect(() => new QuestionBank(rare, 1, { Spectacles: 2 })).toThrow('emphasis: expected topics of these faces');
  });

  it('asks about different topics until all were asked', () => {
    const questions = bank.about(3, new Philox(1));
    const topics = Array.from({ length: 20 }, () => questions.next().value.topic);
    expect(new Set(topics).size).toBe(20);
  });

  it('repeats under the same seed and refuses faces that are all alike', () => {
    const draw = (seed: number) => {
      const questions = bank.about(5, new Philox(seed));
      return Array.from({ length: 200 }, () => questions.next().value);
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    expect(() => new QuestionBank([])).toThrow('QuestionBank: expected faces that differ');
  });
});
