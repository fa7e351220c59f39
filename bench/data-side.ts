import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  buildDataset,
  type DatasetRecord,
  defaultDetectSettings,
  exportDataset,
  FaceWorkers,
  GrammarCaptioner,
  GrammarQuestionWriter,
  openDataset,
  validateRecord,
} from '@unif2ace/lab';

// Builds a data set of the first faces of a folder in CelebA's layout, then runs its stages one by one: SOURCE OUT COUNT

const [source, out, count] = process.argv.slice(2) as [string, string, string];
const classifierFolder = join(import.meta.dirname, '..', 'weights', 'attributes');
const part = `${out}.celeba`;
await mkdir(part, { recursive: true });
await symlink(join(source, 'img_align_celeba'), join(part, 'img_align_celeba'));
const lines = (await readFile(join(source, 'list_attr_celeba.txt'), 'utf8')).split('\n');
const rows = lines.slice(2, 2 + Number(count)).filter(Boolean);
await writeFile(join(part, 'list_attr_celeba.txt'), `${[rows.length, lines[1], ...rows].join('\n')}\n`);
await symlink(join(source, 'identity_CelebA.txt'), join(part, 'identity_CelebA.txt'));
const startMs = performance.now();
const { faces, perSecond } = await buildDataset({ sources: [part], out, classifierFolder });
const seconds = (performance.now() - startMs) / 1000;

const dataset = await openDataset(out);
/** Faces a second of work on every face of the data set, reading left out; `work` may leave promises to be waited for. */
async function rate(work: (record: DatasetRecord) => Promise<unknown>, atOnce = 1): Promise<number> {
  let ms = 0;
  let group: DatasetRecord[] = [];
  const run = async () => {
    const groupMs = performance.now();
    await Promise.all(group.map(work));
    ms += performance.now() - groupMs;
    group = [];
  };
  for await (const record of dataset.records()) if (group.push(record) === atOnce) await run();
  await run();
  return (1000 * dataset.count) / ms;
}

const captioner = new GrammarCaptioner();
const writer = new GrammarQuestionWriter();
const toDescribe = ({ id, facts, image }: DatasetRecord) => ({
  id,
  facts,
  seed: Number.parseInt(id.slice(0, 8), 16),
  image: async () => image,
});
const workers = new FaceWorkers({ settings: defaultDetectSettings, classifierFolder });
const attributes = await rate(({ image }) => workers.ask<'attributes'>({ kind: 'attributes', image }), 100);
await workers.close();
const caption = await rate((record) => captioner.caption(toDescribe(record)));
const refine = await rate((record) => captioner.refine(toDescribe(record), record.captions));
const questions = await rate((record) => writer.questions(toDescribe(record)));
const validate = await rate(async (record) => validateRecord(record));
const exportMs = performance.now();
await exportDataset(dataset.records(), `${out}.again`, { title: 'b', version: '1', sources: [] });
const exporting = (1000 * dataset.count) / (performance.now() - exportMs);
await rm(`${out}.again`, { recursive: true, force: true });
console.log(
  JSON.stringify({
    faces,
    seconds,
    perSecond: {
      ingest: perSecond.ingest,
      detect: perSecond.detect,
      attributes,
      caption,
      refine,
      questions,
      validate,
      export: exporting,
    },
  }),
);
