import { buildDataset } from '../build-dataset.ts';
import { openPostgresStore } from '../pg-store.ts';
import { queueAhead } from '../queue.ts';

// A build on a queue in a process of its own, to be killed: node … queue-build-process.ts SOURCE OUT URL

const [source, out, url] = process.argv.slice(2) as [string, string, string];
const store = await openPostgresStore(url);
const ahead = await queueAhead(url);
await buildDataset({ sources: [source], out, classifierFolder: null, threads: 1, store, ahead });
await ahead.close();
await store.close();
