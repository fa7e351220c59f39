import { LlmCaptioner } from '../../llm/captioner.ts';
import { LlmEndpoint } from '../../llm/endpoint.ts';
import { LlmQuestionWriter } from '../../llm/question-writer.ts';
import { defaultConfidence } from '../face-facts.ts';
import { GrammarCaptioner, GrammarQuestionWriter } from '../grammar-writers.ts';
import { openPostgresStore } from '../pg-store.ts';
import { workOnQueue } from '../queue.ts';
import { resultStoreOf } from '../store.ts';
import { FaceWorkers } from '../worker-pool.ts';

// A worker of a build in a process of its own: node … work-process.ts URL [ENDPOINT]. Prints a line for each batch.

const [url, baseURL] = process.argv.slice(2) as [string, string?];
const store = await openPostgresStore(url);
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const pools: FaceWorkers[] = [];
const endpoint = baseURL
  ? new LlmEndpoint({ baseURL, apiKey: 'worker', model: 'fake', store: resultStoreOf(store), maxRetries: 1 })
  : null;
const captioner = endpoint ? new LlmCaptioner(endpoint) : new GrammarCaptioner();
const questionWriter = endpoint ? new LlmQuestionWriter(endpoint) : new GrammarQuestionWriter();
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
      captioner,
      questionWriter,
    };
  },
  stop.signal,
  (kind, count) => process.stdout.write(`${kind} ${count}\n`),
);
for (const pool of pools) await pool.close();
await store.close();
