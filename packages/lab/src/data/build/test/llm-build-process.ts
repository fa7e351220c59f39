import { LlmCaptioner } from '../../llm/captioner.ts';
import { LlmEndpoint } from '../../llm/endpoint.ts';
import { LlmQuestionWriter } from '../../llm/question-writer.ts';
import { buildDataset } from '../build-dataset.ts';
import { openLmdbStore, resultStoreOf } from '../store.ts';

// A build by a language model in a process of its own, to be killed: node … llm-build-process.ts SOURCE OUT URL

const [source, out, baseURL] = process.argv.slice(2) as [string, string, string];
const store = await openLmdbStore(`${out}.work`);
const endpoint = new LlmEndpoint({ baseURL, apiKey: '', model: 'fake', store: resultStoreOf(store), concurrency: 2 });
await buildDataset({
  sources: [source],
  out,
  classifierFolder: null,
  threads: 1,
  store,
  captioner: new LlmCaptioner(endpoint),
  questionWriter: new LlmQuestionWriter(endpoint),
});
await store.close();
