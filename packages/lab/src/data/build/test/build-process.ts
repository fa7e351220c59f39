import { existsSync, readdirSync, writeSync } from 'node:fs';
import { buildDataset } from '../build-dataset.ts';
import { GrammarCaptioner, GrammarQuestionWriter } from '../grammar-writers.ts';
import { openLmdbStore } from '../store.ts';
import type { FaceToDescribe, StageName } from '../types.ts';

// A build in a process of its own that kills itself: node … build-process.ts SOURCE OUT EVENTS DELAY_MS [CLASSIFIER]
// Events are the beginnings of a stage's work on a face, and what comes before and after its result is kept. After EVENTS of
// them and DELAY_MS it dies by SIGKILL and leaves the stages that were under way on its standard output; 0 lets it live.

const [source, out, events, delayMs, classifierFolder = null] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string?,
];
let left = Number(events);
let stage: StageName = 'ingest';

function event(name: StageName): void {
  stage = name;
  if (left === 0 || --left > 0) return;
  if (Number(delayMs) > 0) setTimeout(die, Number(delayMs));
  else die();
}

function die(): void {
  const files = `${out}.unif2ace-partial/data`;
  const exporting = existsSync(files) && readdirSync(files).length > 0;
  writeSync(1, `${stage}${exporting ? ' export' : ''}`);
  process.kill(process.pid, 'SIGKILL');
}

class WatchedCaptioner extends GrammarCaptioner {
  override caption(face: FaceToDescribe): Promise<string[]> {
    event('caption');
    return super.caption(face);
  }
  override refine(face: FaceToDescribe, captions: readonly string[]): Promise<string[]> {
    event('refine');
    return super.refine(face, captions);
  }
}

class WatchedQuestionWriter extends GrammarQuestionWriter {
  override questions(face: FaceToDescribe) {
    event('questions');
    return super.questions(face);
  }
}

const store = await openLmdbStore(`${out}.work`);
const stages = { files: 'detect', photos: 'detect', attributes: 'attributes' } as const;
await buildDataset({
  sources: [source],
  out,
  classifierFolder,
  threads: 1,
  store: {
    ...store,
    put: async (table, entries) => {
      event(stages[table as keyof typeof stages] ?? stage);
      await store.put(table, entries);
      event(stages[table as keyof typeof stages] ?? stage);
    },
  },
  captioner: new WatchedCaptioner(),
  questionWriter: new WatchedQuestionWriter(),
  onProgress: (progress) => {
    if (progress.stage === 'ingest') event('ingest');
  },
});
await store.close();
