import { buildDataset } from '../build-dataset.ts';

// A build in a process of its own, to be killed: node … build-process.ts SOURCE OUT

const [source, out] = process.argv.slice(2) as [string, string];
await buildDataset({ sources: [source], out, classifierFolder: null, threads: 1 });
