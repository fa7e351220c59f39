import type { QuestionKind, StageName } from '../build/types.ts';
import type { Split } from '../celeba.ts';
import type { AttributeGroup } from '../grammar/vocabulary.ts';
import type { DistinctCount, Distribution } from './tally.ts';

/** An attribute with the type whose value it gives: Black_Hair is of the appearance type "hair color". */
export interface VocabularyEntry {
  name: string;
  group: AttributeGroup;
  type: string;
}

/** Images, people and texts of one part of the data set. */
export interface PartStats {
  images: number;
  /** People named by the sources. */
  identities: DistinctCount;
  /** Images whose source does not say who it is. */
  imagesWithoutIdentity: number;
  captions: number;
  questions: number;
}

export interface AttributeStats extends VocabularyEntry {
  /** Faces of which it is known whether they have it. */
  known: number;
  /** Faces known to have it. */
  present: number;
  /** Captions that say that the face has it or lacks it. */
  stated: number;
  fromLabel: number;
  fromClassifier: number;
}

/** Answers to questions about one topic. A guess of the most frequent answer is right for `answers[0].share`. */
export interface TopicBalance {
  topic: string;
  questions: number;
  /** Most frequent first; shares sum to 1. */
  answers: { label: string; count: number; share: number }[];
}

export interface RejectionCount {
  stage: StageName;
  /** With numbers as # and quoted words as "…", so that alike reasons count as one. */
  reason: string;
  count: number;
}

/** What a data set contains, as plain JSON. */
export interface DatasetStats {
  version: 1;
  all: PartStats;
  bySource: Record<string, PartStats>;
  bySplit: Partial<Record<Split, PartStats>>;
  bySourceAndSplit: { source: string; split: Split; part: PartStats }[];
  captions: {
    distinct: DistinctCount;
    perFace: Distribution;
    tokens: Distribution;
    /** Stated, either way, per caption. */
    attributes: Distribution;
    /** Stated as present, per caption. */
    presentAttributes: Distribution;
  };
  prompts: { perFace: Distribution; tokens: Distribution };
  facts: {
    knownPerFace: Distribution;
    fromLabel: number;
    fromClassifier: number;
    /** Facts whose record does not say where they come from. */
    unstated: number;
    /** Of the facts from a classifier: its probability, in percent, of being right. */
    classifierPercent: Distribution;
  };
  /** In the order of the vocabulary; names outside it are not listed. */
  attributes: AttributeStats[];
  questions: {
    perImage: Distribution;
    kinds: Partial<Record<QuestionKind, number>>;
    /** Most questions first. */
    topics: TopicBalance[];
  };
  rejections: RejectionCount[];
}
