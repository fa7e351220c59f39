import { dirname, join } from 'node:path';
import {
  type Description,
  endingOf,
  imageEndings,
  nothingKnown,
  rejected,
  type SourceItem,
  sourcePhoto,
} from './items.ts';
import { captionOf, DescriptionError, descriptionOf, parseJson, readSidecar } from './sidecar.ts';
import { type FoundFile, walkFiles } from './walk.ts';

/**
 * Photos below a folder. Beside NAME.jpg, NAME.txt is its caption and NAME.json what is known of it (see `descriptionOf`);
 * the caption of the text file wins.
 */
export function readFolder(source: string, folder: string): AsyncIterable<SourceItem> {
  return readImages(source, folder, describeBySidecars);
}

/** Photos below a folder, each described by a function; what it throws as DescriptionError rejects that photo. */
export async function* readImages(
  source: string,
  folder: string,
  describe: (file: FoundFile) => Description | Promise<Description>,
): AsyncGenerator<SourceItem, void, undefined> {
  for await (const file of walkFiles(folder, (name) => imageEndings.has(endingOf(name)))) {
    if ('reason' in file) yield rejected(source, file.name, file.reason);
    else if (file.bytes === 0) yield rejected(source, file.name, 'expected a picture, got an empty file');
    else {
      let item: SourceItem;
      try {
        item = sourcePhoto(source, file.name, { path: file.path }, await describe(file));
      } catch (error) {
        if (!(error instanceof DescriptionError)) throw error;
        item = rejected(source, file.name, error.message);
      }
      yield item;
    }
  }
}

/** File name without folders and ending. */
export function stemOf(name: string): string {
  const base = name.slice(name.lastIndexOf('/') + 1);
  const ending = endingOf(base);
  return ending ? base.slice(0, -ending.length - 1) : base;
}

async function describeBySidecars({ name, path, siblings }: FoundFile): Promise<Description> {
  const stem = stemOf(name);
  const folder = dirname(path);
  let description = nothingKnown;
  if (siblings.has(`${stem}.json`)) {
    const text = await readSidecar(join(folder, `${stem}.json`), `${stem}.json`);
    description = descriptionOf(parseJson(text, `${stem}.json`), `${stem}.json`);
  }
  if (siblings.has(`${stem}.txt`)) {
    const caption = captionOf(await readSidecar(join(folder, `${stem}.txt`), `${stem}.txt`));
    if (caption !== undefined) description = { ...description, caption };
  }
  return description;
}
