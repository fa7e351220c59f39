import { Philox } from '@unif2ace/graph';
import { captionFace } from '../grammar/caption.ts';
import { questionSet } from '../grammar/question-kinds.ts';
import type { Captioner, FaceToDescribe, QuestionWriter, RecordQuestion } from './types.ts';

/** Full captions in this many wordings. */
const wordings = 2;

/** Writes captions by the grammar from the facts alone: offline, deterministic, never wrong about its facts. */
export class GrammarCaptioner implements Captioner {
  readonly version = 'grammar/1';

  async caption({ facts, seed }: FaceToDescribe): Promise<string[]> {
    const texts = Array.from({ length: wordings }, (_, i) => captionFace(facts, new Philox(seed, 10, i), 'full').text);
    return [...new Set(texts)];
  }

  /** The grammar says nothing that the facts do not: what it wrote stands. */
  async refine(_face: FaceToDescribe, captions: readonly string[]): Promise<string[]> {
    return [...captions];
  }
}

/** Asks by the grammar, from the facts alone. */
export class GrammarQuestionWriter implements QuestionWriter {
  readonly version = 'grammar/1';

  async questions({ facts, seed }: FaceToDescribe): Promise<RecordQuestion[]> {
    return questionSet(facts, new Philox(seed, 11));
  }
}

/** Short descriptions, as people write them to have a face drawn: always by the grammar. */
export function promptsFor({ facts, seed }: Pick<FaceToDescribe, 'facts' | 'seed'>): string[] {
  const lengths = ['medium', 'short', 'short'] as const;
  return [...new Set(lengths.map((length, i) => captionFace(facts, new Philox(seed, 12, i), length).text))];
}
