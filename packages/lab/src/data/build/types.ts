import type { Split } from '../celeba.ts';
import type { StatedAttributes } from '../grammar/attributes.ts';

export type { Split } from '../celeba.ts';

// What flows through the data pipeline: photo (a file of a source) → face (one person in it) → record (a finished row).

/** Where a photo's bytes lie. Workers, also on other hosts, read them by themselves. */
export interface Locator {
  path: string;
  /** Part of an archive: bytes offset … offset + length − 1. Absent: the whole file. */
  range?: { offset: number; length: number };
  /** A cell of a Parquet file: the bytes in this column of this row. */
  cell?: { column: string; row: number };
}

/** A photo as its source has it, before it is opened. */
export interface SourcePhoto {
  /** Name of the source, unique in the build. */
  source: string;
  /** Name within the source, unique there: a path with forward slashes. */
  name: string;
  locator: Locator;
  /** What the source's labels say; an attribute they are silent about is absent. */
  facts: StatedAttributes;
  /** Person, where the source knows it: photos of one person stay in one split. */
  identity?: string;
  ageYears?: number;
  /** A description that comes with the photo. */
  caption?: string;
  /** One face, already in the training frame (CelebA's aligned files): it is kept even where the detector misses it. */
  aligned?: boolean;
}

/** Something that could not be used; the run goes on. */
export interface Rejection {
  source: string;
  name: string;
  stage: StageName;
  /** One line: what was expected, what was got. */
  reason: string;
  /** Left out on purpose (a duplicate, someone who opted out, a child), not for a fault. */
  wanted?: true;
}

export const stageNames = [
  'ingest',
  'detect',
  'attributes',
  'caption',
  'refine',
  'questions',
  'validate',
  'export',
] as const;
export type StageName = (typeof stageNames)[number];

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Point {
  x: number;
  y: number;
}

export interface FactSource {
  /** `label`: from the source; `classifier`: from our classifier, with its calibrated probability of being true. */
  from: 'label' | 'classifier';
  probability: number;
}

export type QuestionKind = 'yes-no' | 'choice' | 'color' | 'count' | 'compare' | 'reason' | 'unanswerable';

export interface RecordQuestion {
  kind: QuestionKind;
  /** What is asked: an attribute or an attribute type. */
  topic: string;
  question: string;
  answer: string;
  /** Answer class: "yes", "no", the word of a choice, a number, "unknown". */
  label: string;
  /** Attributes that decide the answer; empty for an unanswerable question. */
  evidence: string[];
}

/** A finished row of the data set. */
export interface DatasetRecord {
  /** Hash of the photo and the face's index in it: 32 hex digits. */
  id: string;
  source: string;
  name: string;
  identity: string | null;
  split: Split;
  ageYears: number | null;
  /** Aligned crop, JPEG. */
  image: Uint8Array;
  width: number;
  height: number;
  /** In the photo as decoded (rotated upright). */
  box: Box;
  /** Right eye, left eye, nose tip, right and left mouth corner, as the person has them. */
  landmarks: Point[];
  facts: StatedAttributes;
  factSources: Record<string, FactSource>;
  /** Full descriptions in several wordings; the first is the main one. */
  captions: string[];
  /** Shorter ones, as people write them to have a face drawn. */
  prompts: string[];
  questions: RecordQuestion[];
}

/** Writes captions of a face. Implementations: the grammar (offline), an OpenAI-compatible endpoint. */
export interface Captioner {
  /** Name and version; part of the key under which results are kept. */
  readonly version: string;
  /** Faces to be asked about at once; default: enough to keep the store busy. */
  readonly concurrency?: number;
  caption(face: FaceToDescribe, signal?: AbortSignal): Promise<string[]>;
  /** Corrects and enriches captions by the facts (paper §5, second prompt). */
  refine(face: FaceToDescribe, captions: readonly string[], signal?: AbortSignal): Promise<string[]>;
}

export interface QuestionWriter {
  readonly version: string;
  questions(face: FaceToDescribe, captions: readonly string[], signal?: AbortSignal): Promise<RecordQuestion[]>;
}

export interface FaceToDescribe {
  id: string;
  facts: StatedAttributes;
  /** Description that came with the photo. */
  sourceCaption?: string;
  /** Aligned crop, JPEG; read only by those who look at it. */
  image(): Promise<Uint8Array>;
  /** Seed of all random choices about this face. */
  seed: number;
  asking?: Asking;
}

/** On whose behalf an endpoint is asked; changes no answer. */
export interface Asking {
  /** Name of one run of a build, the same on all its workers: what one of them gave up, none asks for again. */
  run: string;
  /** Ask again for what earlier runs gave up. */
  again: boolean;
}
