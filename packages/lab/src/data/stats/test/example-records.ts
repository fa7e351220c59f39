import { Philox } from '@unif2ace/graph';
import { mergeFacts } from '../../build/face-facts.ts';
import { GrammarCaptioner, GrammarQuestionWriter, promptsFor } from '../../build/grammar-writers.ts';
import type { DatasetRecord } from '../../build/types.ts';
import { attributeNames, furtherNames } from '../../grammar/attributes.ts';

/** A 1×1 JPEG would do for statistics; these bytes only have to survive. */
const image = Uint8Array.of(0xff, 0xd8, 0xff, 0xd9);

const oneOf = ['Black_Hair', 'Blond_Hair', 'Brown_Hair', 'Gray_Hair'];

/** Records as the offline build writes them, of made-up faces. */
export async function* exampleRecords(count: number, seed = 1): AsyncGenerator<DatasetRecord> {
  const captioner = new GrammarCaptioner();
  const writer = new GrammarQuestionWriter();
  for (let i = 0; i < count; i++) {
    const random = new Philox(seed, i);
    const hair = random.int(oneOf.length);
    const labels = Object.fromEntries(
      attributeNames.map((name) => [
        name,
        oneOf.includes(name)
          ? name === oneOf[hair]
          : random.uniform() < (name === 'Male' || name === 'Young' ? 0.5 : 0.2),
      ]),
    );
    const guesses = Object.fromEntries(furtherNames.map((name) => [name, random.uniform() ** 0.4 < 0.5 ? 0.95 : 0.5]));
    const { facts, factSources } = mergeFacts(labels, guesses);
    const face = { id: `${i}`, facts, seed: i, image: async () => image };
    const captions = await captioner.caption(face);
    yield {
      id: i.toString(16).padStart(32, '0'),
      source: i % 3 === 0 ? 'portraits' : 'celeba',
      name: `${i}.jpg`,
      identity: i % 3 === 0 ? null : `person ${i % 40}`,
      split: (['train', 'train', 'train', 'validation', 'test'] as const)[i % 5]!,
      ageYears: null,
      image,
      width: 1,
      height: 1,
      box: { x: 0, y: 0, width: 1, height: 1 },
      landmarks: [],
      facts,
      factSources,
      captions,
      prompts: promptsFor(face),
      questions: await writer.questions(face),
    };
  }
}
