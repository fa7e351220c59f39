import type { DatasetRecord, QuestionKind, Rejection } from '../build/types.ts';
import type { Split } from '../celeba.ts';
import { parseCaption } from '../grammar/parse.ts';
import { attributeTypes } from '../grammar/vocabulary.ts';
import type { AttributeStats, DatasetStats, PartStats, TopicBalance, VocabularyEntry } from './dataset-stats.ts';
import { DistinctTally, NameTally, Tally } from './tally.ts';

export interface StatsOptions {
  /** Default: words and punctuation marks. */
  countTokens?: (text: string) => number;
  /** Attributes that a caption states, and whether as present. Default: the grammar's parser. */
  statedAttributes?: (caption: string) => Readonly<Record<string, boolean | undefined>>;
  /** Default: the vocabulary of captions and questions. */
  vocabulary?: readonly VocabularyEntry[];
  /** What the build could not use. */
  rejections?: Iterable<Rejection> | AsyncIterable<Rejection>;
}

/** Bounds on names that texts of a language model could make up without end. */
const maxTopics = 512;
const maxLabelsPerTopic = 64;
const maxRejectionReasons = 512;

const wordOrMark = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*|[^\s\p{L}\p{N}]/gu;

/** Words (also hyphenated, also with an apostrophe) and punctuation marks. */
export function countWordsAndMarks(text: string): number {
  return text.match(wordOrMark)?.length ?? 0;
}

/** Every attribute of the vocabulary of captions and questions, with its group and type. */
export const defaultVocabulary: readonly VocabularyEntry[] = attributeTypes.flatMap(({ group, type, names }) =>
  names.map((name) => ({ name, group, type })),
);

/** Reads a data set once; memory does not grow with its size. */
export async function collectStats(
  records: AsyncIterable<DatasetRecord> | Iterable<DatasetRecord>,
  options: StatsOptions = {},
): Promise<DatasetStats> {
  const collector = new StatsCollector(options);
  for await (const record of records) collector.add(record);
  const rejections = new NameTally(maxRejectionReasons);
  for await (const { stage, reason } of options.rejections ?? [])
    rejections.add(`${stage}\n${withoutParticulars(reason)}`);
  return collector.stats(rejections);
}

function withoutParticulars(reason: string): string {
  return reason.replace(/"[^"]*"/g, '"…"').replace(/\d+(?:\.\d+)?/g, '#');
}

class PartTally {
  readonly identities = new DistinctTally();
  images = 0;
  imagesWithoutIdentity = 0;
  captions = 0;
  questions = 0;

  add(record: DatasetRecord): void {
    this.images++;
    // The same name in two sources need not be the same person
    if (record.identity === null) this.imagesWithoutIdentity++;
    else this.identities.add(`${record.source}\n${record.identity}`);
    this.captions += record.captions.length;
    this.questions += record.questions.length;
  }

  stats(): PartStats {
    const { images, imagesWithoutIdentity, captions, questions } = this;
    return { images, identities: this.identities.count(), imagesWithoutIdentity, captions, questions };
  }
}

class StatsCollector {
  readonly #countTokens: (text: string) => number;
  readonly #statedAttributes: (caption: string) => Readonly<Record<string, boolean | undefined>>;
  readonly #all = new PartTally();
  readonly #bySource = new Map<string, PartTally>();
  readonly #bySplit = new Map<Split, PartTally>();
  readonly #bySourceAndSplit = new Map<string, { source: string; split: Split; part: PartTally }>();
  readonly #distinctCaptions = new DistinctTally();
  readonly #tallies = {
    captionsPerFace: new Tally(),
    captionTokens: new Tally(),
    captionAttributes: new Tally(),
    captionPresentAttributes: new Tally(),
    promptsPerFace: new Tally(),
    promptTokens: new Tally(),
    knownPerFace: new Tally(),
    classifierPercent: new Tally(),
    questionsPerImage: new Tally(),
  };
  readonly #provenance = { fromLabel: 0, fromClassifier: 0, unstated: 0 };
  readonly #attributes: Map<string, AttributeStats>;
  readonly #kinds = new Map<QuestionKind, number>();
  readonly #topics = new NameTally(maxTopics);
  readonly #answers = new Map<string, NameTally>();

  constructor({ countTokens, statedAttributes, vocabulary }: StatsOptions) {
    this.#countTokens = countTokens ?? countWordsAndMarks;
    this.#statedAttributes = statedAttributes ?? parseCaption;
    const none = { known: 0, present: 0, stated: 0, fromLabel: 0, fromClassifier: 0 };
    this.#attributes = new Map(
      (vocabulary ?? defaultVocabulary).map(({ name, group, type }) => [name, { name, group, type, ...none }]),
    );
  }

  add(record: DatasetRecord): void {
    const { source, split } = record;
    this.#all.add(record);
    entry(this.#bySource, source, () => new PartTally()).add(record);
    entry(this.#bySplit, split, () => new PartTally()).add(record);
    entry(this.#bySourceAndSplit, `${source}\n${split}`, () => ({ source, split, part: new PartTally() })).part.add(
      record,
    );
    this.#addTexts(record);
    this.#addFacts(record);
    this.#addQuestions(record);
  }

  #addTexts({ captions, prompts }: DatasetRecord): void {
    this.#tallies.captionsPerFace.add(captions.length);
    this.#tallies.promptsPerFace.add(prompts.length);
    for (const prompt of prompts) this.#tallies.promptTokens.add(this.#countTokens(prompt));
    for (const caption of captions) {
      this.#distinctCaptions.add(caption);
      this.#tallies.captionTokens.add(this.#countTokens(caption));
      const stated = Object.entries(this.#statedAttributes(caption)).filter(([, value]) => value !== undefined);
      this.#tallies.captionAttributes.add(stated.length);
      this.#tallies.captionPresentAttributes.add(stated.filter(([, value]) => value).length);
      for (const [name] of stated) {
        const attribute = this.#attributes.get(name);
        if (attribute) attribute.stated++;
      }
    }
  }

  #addFacts({ facts, factSources }: DatasetRecord): void {
    const known = Object.entries(facts).filter(([, value]) => value !== undefined);
    this.#tallies.knownPerFace.add(known.length);
    for (const [name, value] of known) {
      const attribute = this.#attributes.get(name);
      if (attribute) {
        attribute.known++;
        if (value) attribute.present++;
      }
      const source = factSources[name];
      const kind = source === undefined ? 'unstated' : source.from === 'label' ? 'fromLabel' : 'fromClassifier';
      this.#provenance[kind]++;
      if (attribute && kind !== 'unstated') attribute[kind]++;
      if (source?.from === 'classifier') this.#tallies.classifierPercent.add(Math.round(100 * source.probability));
    }
  }

  #addQuestions({ questions }: DatasetRecord): void {
    this.#tallies.questionsPerImage.add(questions.length);
    for (const { kind, topic, label } of questions) {
      this.#kinds.set(kind, (this.#kinds.get(kind) ?? 0) + 1);
      this.#topics.add(topic);
      const counted = this.#answers.has(topic) || this.#answers.size < maxTopics ? topic : NameTally.otherName;
      entry(this.#answers, counted, () => new NameTally(maxLabelsPerTopic)).add(label);
    }
  }

  stats(rejections: NameTally): DatasetStats {
    const tallies = this.#tallies;
    return {
      version: 1,
      all: this.#all.stats(),
      bySource: Object.fromEntries(sorted(this.#bySource).map(([name, part]) => [name, part.stats()])),
      bySplit: Object.fromEntries([...this.#bySplit].map(([name, part]) => [name, part.stats()])),
      bySourceAndSplit: sorted(this.#bySourceAndSplit).map(([, { part, ...names }]) => ({
        ...names,
        part: part.stats(),
      })),
      captions: {
        distinct: this.#distinctCaptions.count(),
        perFace: tallies.captionsPerFace.distribution(),
        tokens: tallies.captionTokens.distribution(),
        attributes: tallies.captionAttributes.distribution(),
        presentAttributes: tallies.captionPresentAttributes.distribution(),
      },
      prompts: { perFace: tallies.promptsPerFace.distribution(), tokens: tallies.promptTokens.distribution() },
      facts: {
        knownPerFace: tallies.knownPerFace.distribution(),
        ...this.#provenance,
        classifierPercent: tallies.classifierPercent.distribution(),
      },
      attributes: [...this.#attributes.values()].map((attribute) => ({ ...attribute })),
      questions: {
        perImage: tallies.questionsPerImage.distribution(),
        kinds: Object.fromEntries([...this.#kinds].sort(([, m], [, n]) => n - m)),
        topics: this.#topics.entries().map(([topic, questions]) => this.#balance(topic, questions)),
      },
      rejections: rejections.entries().map(([key, count]) => {
        const [stage, reason] = key.split('\n') as [Rejection['stage'], string?];
        return { stage, reason: reason ?? NameTally.otherName, count };
      }),
    };
  }

  #balance(topic: string, questions: number): TopicBalance {
    const answers = this.#answers.get(topic)?.entries() ?? [];
    return { topic, questions, answers: answers.map(([label, count]) => ({ label, count, share: count / questions })) };
  }
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}

function sorted<V>(map: ReadonlyMap<string, V>): [string, V][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}
