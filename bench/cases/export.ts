import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Philox } from '@unif2ace/graph';
import { attributeNames, type DatasetRecord, exportDataset, questionSet, type RecordQuestion } from '@unif2ace/lab';
import type { BenchCase } from '../case.ts';

export interface ExportSizes {
  questions: number;
  imageBytes: number;
  /** Faces whose questions are written; the rest repeats them under other ids. */
  distinctFaces: number;
}

/** Writes a data set with so many rows of questions: Parquet, tars, card, hashes, synchronised to the disk. */
export async function exportRows({ questions, imageBytes, distinctFaces }: ExportSizes): Promise<BenchCase> {
  const sets = Array.from({ length: distinctFaces }, (_, i): RecordQuestion[] => {
    const random = new Philox(1, i);
    const labels = Object.fromEntries(attributeNames.map((name) => [name, random.uniform() < 0.3]));
    return questionSet(labels, random);
  });
  const image = Uint8Array.from({ length: imageBytes }, (_, i) => (i * 73) & 255);
  async function* records(): AsyncGenerator<DatasetRecord> {
    for (let face = 0, left = questions; left > 0; face++) {
      const asked = sets[face % sets.length]!.slice(0, left);
      left -= asked.length;
      yield {
        id: face.toString(16).padStart(32, '0'),
        source: 'bench',
        name: `${face}.jpg`,
        identity: null,
        split: face % 10 === 0 ? 'test' : 'train',
        ageYears: null,
        image,
        width: 128,
        height: 128,
        box: { x: 0, y: 0, width: 128, height: 128 },
        landmarks: [],
        facts: {},
        factSources: {},
        captions: ['The photo shows a person.'],
        prompts: ['a person'],
        questions: asked,
      };
    }
  }
  return {
    async run() {
      const folder = await mkdtemp(join(tmpdir(), 'bench-export-'));
      try {
        const written = await exportDataset(records(), join(folder, 'set'), { title: 'b', version: '1', sources: [] });
        if (written.questions !== questions)
          throw new Error(`export: expected ${questions} questions, got ${written.questions}`);
        return written.questions;
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    close: async () => {},
  };
}
