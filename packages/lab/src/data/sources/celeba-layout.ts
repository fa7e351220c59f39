import { readdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { readCelebA } from '../celeba.ts';
import { rejected, type SourceItem, sourcePhoto } from './items.ts';

/** Photos of a folder in CelebA's layout with all their labels, as the list gives them. */
export async function* readCelebALayout(source: string, folder: string): AsyncGenerator<SourceItem, void, undefined> {
  const records = await readCelebA(folder);
  const images = new Set(records.length > 0 ? await readdir(dirname(records[0]!.path)) : []);
  for (const { path, identity, attributes } of records) {
    const name = basename(path);
    if (images.has(name)) {
      const facts = new Map(Object.entries(attributes));
      yield { ...sourcePhoto(source, name, { path }, { facts, identity: String(identity) }), aligned: true };
    } else yield rejected(source, name, 'expected the picture in img_align_celeba/, got none');
  }
}
