import { type FileHandle, open } from 'node:fs/promises';
import { DataError } from '../celeba.ts';
import {
  type Description,
  imageEndings,
  nothingKnown,
  rejected,
  type SourceFile,
  type SourceItem,
  sourcePhoto,
} from './items.ts';
import {
  captionOf,
  DescriptionError,
  decodeText,
  descriptionOf,
  identityOf,
  maxSidecarBytes,
  parseJson,
} from './sidecar.ts';
import { isGzip, readTarMembers, TarError, type TarMember } from './tar.ts';

/** Members of one key, by ending. */
interface Sample {
  key: string;
  members: Map<string, TarMember>;
}

/**
 * Photos of WebDataset tars: members of one key (the name up to its first dot) follow each other. KEY.json is what is known
 * (see `descriptionOf`), KEY.txt the caption; KEY.cls is taken for the person, as in sets for face recognition, unless the
 * JSON names one. Locators point into the tar; nothing is unpacked.
 * @throws DataError for a compressed tar, before anything is read.
 */
export async function* readWebDataset(
  source: string,
  tars: readonly SourceFile[],
): AsyncGenerator<SourceItem, void, undefined> {
  for (const { path } of tars)
    if (await isGzip(path))
      throw new DataError(
        `${path}: expected a plain tar, got one packed by gzip; try gunzip first: photos are read by offset`,
      );
  for (const tar of tars) yield* readTar(source, tar);
}

async function* readTar(source: string, tar: SourceFile): AsyncGenerator<SourceItem, void, undefined> {
  let file: FileHandle;
  try {
    file = await open(tar.path, 'r');
  } catch (error) {
    yield rejected(source, tar.name, `expected a tar that can be read, got ${(error as NodeJS.ErrnoException).code}`);
    return;
  }
  const seen = new Set<string>();
  let sample: Sample | undefined;
  try {
    for await (const member of readTarMembers(file)) {
      if (member.type === 'folder') continue;
      const name = `${tar.name}/${member.name}`;
      const problem = problemOf(member);
      if (problem !== undefined) {
        yield rejected(source, `${tar.name}/${safeToShow(member.name)}`, problem);
        continue;
      }
      const { key, ending } = splitName(member.name);
      if (key !== sample?.key) {
        if (sample) yield await finishSample(source, tar, file, sample);
        sample = undefined;
        if (seen.has(key)) {
          yield rejected(source, name, `expected the members of a key together, got ${JSON.stringify(key)} again`);
          continue;
        }
        seen.add(key);
        sample = { key, members: new Map() };
      }
      if (sample.members.has(ending)) yield rejected(source, name, 'expected one member of this name, got a second');
      else sample.members.set(ending, member);
    }
    if (sample) yield await finishSample(source, tar, file, sample);
  } catch (error) {
    if (!(error instanceof TarError)) throw error;
    // What follows a damaged place is unknown, and so is whether the last sample is whole
    if (sample)
      yield rejected(source, `${tar.name}/${sample.key}`, 'expected a whole sample, got the damaged end of a tar');
    yield rejected(source, tar.name, error.message);
  } finally {
    await file.close();
  }
}

async function finishSample(source: string, tar: SourceFile, file: FileHandle, sample: Sample): Promise<SourceItem> {
  const { key, members } = sample;
  const images = [...members.keys()].filter((ending) => imageEndings.has(ending));
  const name = `${tar.name}/${key}`;
  if (images.length !== 1)
    return rejected(
      source,
      name,
      `expected one picture, got ${images.length} (members: ${[...members.keys()].join(', ')})`,
    );
  const { offset, length, name: member } = members.get(images[0]!)!;
  if (length === 0) return rejected(source, `${tar.name}/${member}`, 'expected a picture, got an empty member');
  try {
    const description = await describeSample(file, members);
    return sourcePhoto(source, `${tar.name}/${member}`, { path: tar.path, range: { offset, length } }, description);
  } catch (error) {
    if (!(error instanceof DescriptionError)) throw error;
    return rejected(source, `${tar.name}/${member}`, error.message);
  }
}

async function describeSample(file: FileHandle, members: ReadonlyMap<string, TarMember>): Promise<Description> {
  const text = async (ending: string): Promise<string | undefined> => {
    const member = members.get(ending);
    if (!member) return undefined;
    if (member.length > maxSidecarBytes)
      throw new DescriptionError(`expected at most ${maxSidecarBytes} bytes in ${member.name}, got ${member.length}`);
    const bytes = new Uint8Array(member.length);
    await file.read(bytes, 0, member.length, member.offset);
    return decodeText(bytes, member.name);
  };
  const json = await text('json');
  let description =
    json === undefined ? nothingKnown : descriptionOf(parseJson(json, 'the JSON member'), 'the JSON member');
  const caption = captionOf((await text('txt')) ?? '');
  if (caption !== undefined) description = { ...description, caption };
  const personClass = await text('cls');
  if (personClass !== undefined && description.identity === undefined)
    description = { ...description, identity: identityOf(personClass, 'the class member') };
  return description;
}

/** Key up to the first dot after the last slash, ending after it. */
function splitName(name: string): { key: string; ending: string } {
  const start = name.lastIndexOf('/') + 1;
  const dot = name.indexOf('.', start + 1);
  return dot < 0 ? { key: name, ending: '' } : { key: name.slice(0, dot), ending: name.slice(dot + 1).toLowerCase() };
}

function problemOf({ type, name }: TarMember): string | undefined {
  if (type !== 'file') return `expected a file, got a ${type === 'other' ? 'member of another type' : type}`;
  if (/^[/\\]|^[A-Za-z]:/.test(name) || name.split(/[/\\]/).includes('..'))
    return 'expected a name inside the tar, got one that leads out of it';
  return name === '' ? 'expected a name, got none' : undefined;
}

function safeToShow(name: string): string {
  return JSON.stringify(name).slice(1, -1).slice(0, 120);
}
