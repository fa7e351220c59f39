import { defaultConfidence } from '../face-facts.ts';
import { GrammarCaptioner, GrammarQuestionWriter } from '../grammar-writers.ts';
import { openPostgresStore } from '../pg-store.ts';
import { workOnQueue } from '../queue.ts';
import { FaceWorkers } from '../worker-pool.ts';

// A worker of a build in a process of its own: node … work-process.ts URL. Prints a line for each batch.

const url = process.argv[2]!;
const store = await openPostgresStore(url);
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const pools: FaceWorkers[] = [];
await workOnQueue(
  url,
  (settings) => {
    pools[0] ??= new FaceWorkers({ settings, classifierFolder: null }, 1);
    return {
      store,
      workers: pools[0],
      settings,
      classifierHash: null,
      confidence: defaultConfidence,
      captioner: new GrammarCaptioner(),
      questionWriter: new GrammarQuestionWriter(),
    };
  },
  stop.signal,
  (kind, count) => process.stdout.write(`${kind} ${count}\n`),
);
for (const pool of pools) await pool.close();
await store.close();
