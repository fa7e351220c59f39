import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildDataset } from '@unif2ace/lab';

// Builds a data set of the first faces of a folder in CelebA's layout: SOURCE OUT COUNT

const [source, out, count] = process.argv.slice(2) as [string, string, string];
const part = `${out}.celeba`;
await mkdir(part, { recursive: true });
await symlink(join(source, 'img_align_celeba'), join(part, 'img_align_celeba'));
const lines = (await readFile(join(source, 'list_attr_celeba.txt'), 'utf8')).split('\n');
const rows = lines.slice(2, 2 + Number(count)).filter(Boolean);
await writeFile(join(part, 'list_attr_celeba.txt'), `${[rows.length, lines[1], ...rows].join('\n')}\n`);
await symlink(join(source, 'identity_CelebA.txt'), join(part, 'identity_CelebA.txt'));
const startMs = performance.now();
const { faces, perSecond } = await buildDataset({
  sources: [part],
  out,
  classifierFolder: join(import.meta.dirname, '..', 'weights', 'attributes'),
});
console.log(JSON.stringify({ faces, perSecond, seconds: (performance.now() - startMs) / 1000 }));
