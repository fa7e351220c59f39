import { Philox } from '@unif2ace/graph';
import type { AttributeName, StatedAttributes } from '../grammar/attributes.ts';
import { type CaptionLength, captionFace } from '../grammar/caption.ts';
import { parseCaption } from '../grammar/parse.ts';
import type { DatasetRecord } from './types.ts';

export interface ReadBackFigures {
  /** Statements of captions and prompts about attributes that a label decides. */
  statements: number;
  /** Those among them that the label bears out. */
  borneOut: number;
  /** borneOut ÷ statements; null without any. */
  precision: number | null;
  /** Attributes that the grammar says it states, in captions written anew for every face in three lengths. */
  stated: number;
  /** Those among them that are read back from the text, with their value. */
  recovered: number;
  /** recovered ÷ stated; null without any. */
  recall: number | null;
  /** Faces for which labels were expected and not found. */
  unlabelled: number;
}

const lengths: readonly CaptionLength[] = ['full', 'medium', 'short'];
const stream = 20;

/**
 * Reads texts of a data set back and counts: how many statements the labels bear out, and how much of what the grammar
 * states is found again. A statement that rests on the classifier is not counted.
 */
export class ReadBack {
  #statements = 0;
  #borneOut = 0;
  #stated = 0;
  #recovered = 0;
  #unlabelled = 0;

  /**
   * @param labels the face's labels, read from their source anew. Default: the facts of the record.
   * @returns what the labels do not bear out, a line each.
   */
  add(record: DatasetRecord, labels?: StatedAttributes): string[] {
    const faults: string[] = [];
    const truth = labels ?? record.facts;
    for (const text of [...record.captions, ...record.prompts])
      for (const [name, value] of Object.entries(parseCaption(text)) as [AttributeName, boolean][]) {
        if (record.factSources[name]?.from === 'classifier') continue;
        this.#statements++;
        if (truth[name] === value) this.#borneOut++;
        else faults.push(`label: expected ${name} to be ${truth[name] ?? 'unsaid'}, got ${value}`);
      }
    const seed = Number.parseInt(record.id.slice(0, 8), 16) >>> 0;
    lengths.forEach((length, i) => {
      const { text, stated } = captionFace(record.facts, new Philox(seed, stream, i), length);
      const read = parseCaption(text);
      for (const [name, value] of Object.entries(stated) as [AttributeName, boolean][]) {
        this.#stated++;
        if (read[name] === value) this.#recovered++;
      }
    });
    return faults;
  }

  /** A face without labels where they were expected. */
  skip(): void {
    this.#unlabelled++;
  }

  figures(): ReadBackFigures {
    const share = (part: number, whole: number) => (whole === 0 ? null : part / whole);
    return {
      statements: this.#statements,
      borneOut: this.#borneOut,
      precision: share(this.#borneOut, this.#statements),
      stated: this.#stated,
      recovered: this.#recovered,
      recall: share(this.#recovered, this.#stated),
      unlabelled: this.#unlabelled,
    };
  }
}
