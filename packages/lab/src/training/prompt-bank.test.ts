import { Philox } from '@unif2ace/graph';
import { expect, test } from 'vitest';
import {
  type AttributeName,
  type Attributes,
  attributeNames,
  type StatedAttributes,
} from '../data/grammar/attributes.ts';
import { listCaption, promptCaption } from '../data/grammar/caption.ts';
import { parseCaption } from '../data/grammar/parse.ts';
import { contraryText, PromptBank } from './prompt-bank.ts';

const shares: Partial<Record<string, number>> = { Male: 0.4, Eyeglasses: 0.06, Smiling: 0.5, No_Beard: 0.5 };
const random = new Philox(5);
const faces = Array.from(
  { length: 2000 },
  () =>
    Object.fromEntries(attributeNames.map((name) => [name, random.uniform() < (shares[name] ?? 0.1)])) as Attributes,
);

function drawn(bank: PromptBank, count: number, seed = 1) {
  return Array.from({ length: count }, (_, i) => {
    const random = new Philox(seed, i);
    return bank.example(random, (labels) => promptCaption(labels, random));
  });
}

test('an attribute of one face in sixteen comes with and without it equally often, and within each gender', () => {
  const examples = drawn(new PromptBank(faces, { Eyeglasses: 1 }), 2000);
  for (const male of [true, false]) {
    const ofGender = examples.filter(({ face }) => faces[face]!.Male === male);
    const having = ofGender.filter(({ face }) => faces[face]!.Eyeglasses).length;
    expect(ofGender.length).toBeGreaterThan(800);
    // four standard deviations
    expect(Math.abs(having / ofGender.length - 0.5)).toBeLessThan(2 / Math.sqrt(ofGender.length));
  }
});

test('the words say what is true, and nearly always of the attribute', () => {
  for (const attribute of ['Eyeglasses', 'Smiling'] as const) {
    const examples = drawn(new PromptBank(faces, { [attribute]: 1 }), 400);
    const read = examples.map(({ text }) => parseCaption(text)[attribute]);
    for (const [i, said] of read.entries())
      if (said !== undefined) expect(said, examples[i]!.text).toBe(faces[examples[i]!.face]![attribute]);
    expect(read.filter((said) => said === true).length).toBeGreaterThan(150);
    expect(read.filter((said) => said === false).length).toBeGreaterThan(100);
  }
});

test('beards are contrasted among men alone, and emphasis counts', () => {
  const examples = drawn(new PromptBank(faces, { No_Beard: 3, Wearing_Hat: 1 }), 1000);
  const beards = examples.filter(({ text }) => 'No_Beard' in parseCaption(text));
  expect(beards.every(({ face }) => faces[face]!.Male)).toBe(true);
  const even = drawn(new PromptBank(faces, { No_Beard: 1, Wearing_Hat: 1 }), 1000);
  expect(beards.length).toBeGreaterThan(1.2 * even.filter(({ text }) => 'No_Beard' in parseCaption(text)).length);
});

test('the same random numbers draw the same', () => {
  const bank = new PromptBank(faces, { Bangs: 1, Young: 1 });
  expect(drawn(bank, 20, 3)).toEqual(drawn(bank, 20, 3));
  expect(drawn(bank, 20, 3)).not.toEqual(drawn(bank, 20, 4));
});

test('what hardly any face has is refused by name', () => {
  const few = faces.map((labels, i) => ({ ...labels, Eyeglasses: i < 10 }));
  expect(() => new PromptBank(few, { Smiling: 1, Eyeglasses: 1 })).toThrow(
    /with and as many without Eyeglasses, got fewer among 2000; try more faces, or leave it out of promptEmphasis/,
  );
});

test('contrary words deny the attribute, where there are words for that, and agree with the true ones otherwise', () => {
  for (const attribute of ['Eyeglasses', 'No_Beard', 'Young', 'Black_Hair', 'Wearing_Lipstick', 'Bald'] as const) {
    const bank = new PromptBank(faces, { [attribute]: 1 });
    let denied = 0;
    for (let i = 0; i < 100; i++) {
      const random = new Philox(7, i);
      const caption = (labels: StatedAttributes) => listCaption(labels, random);
      const example = bank.example(random, caption);
      const text = contraryText(example, caption);
      const said = parseCaption(text);
      denied += Number(said[attribute] === !example.has);
      expect(said[attribute], text).not.toBe(example.has);
      for (const [name, value] of Object.entries(said))
        if (name !== attribute) expect(value, `${name} in ${text}`).toBe(example.stated[name as AttributeName]);
    }
    // of lipstick, baldness and black hair only the presence has words
    expect(denied, attribute).toBeGreaterThan(30);
  }
});
