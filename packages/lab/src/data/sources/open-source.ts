import type { Stats } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DataError } from '../celeba.ts';
import { readCelebALayout } from './celeba-layout.ts';
import { readCelebVHQ } from './celebvhq.ts';
import { readFfhq } from './ffhq.ts';
import { readFolder } from './folder.ts';
import { byCodeUnit, endingOf, imageEndings, rejected, type SourceFile, type SourceItem } from './items.ts';
import { readParquet } from './parquet.ts';
import { isUtkFaceName, readUtkFace } from './utkface.ts';
import { walkFiles } from './walk.ts';
import { readWebDataset } from './webdataset.ts';

export const sourceKinds = ['celeba', 'folder', 'utkface', 'celebvhq', 'ffhq', 'webdataset', 'parquet'] as const;
export type SourceKind = (typeof sourceKinds)[number];

export interface OpenSourceOptions {
  /** Name of the source in the data set. Default: the last part of its path. */
  name?: string;
}

/** Names of pictures looked at to tell UTKFace from a plain folder. */
const namesLookedAt = 32;

/**
 * Photos of a source and what could not be read, in an order that depends on names only.
 * @param spec a folder, a file or a pattern of files (`*`, `?`, `{000..012}` in the last part); its kind is told by looking at
 * it, or forced by a prefix: "utkface:PATH".
 * @throws DataError, when read, if the source is missing, empty or not of the forced kind.
 */
export async function* openSource(
  spec: string,
  { name }: OpenSourceOptions = {},
): AsyncGenerator<SourceItem, void, undefined> {
  const { kind: forced, path } = parseSpec(spec);
  const source = name ?? nameOfSource(path);
  const kind = forced ?? (await detectSource(path));
  let found = 0;
  for await (const item of readKind(kind, source, path)) {
    found++;
    yield item;
  }
  if (found === 0)
    throw new DataError(
      `openSource: expected photos in ${path} (read as ${kind}), got none; try another folder or kind`,
    );
}

type SourceSpec = string | { spec: string; name?: string };

/** Names of sources in a data set; those of one name are told apart by "-2", "-3", …. */
export function nameSources(specs: readonly SourceSpec[]): { spec: string; name: string }[] {
  const taken = new Set<string>();
  return specs.map((entry) => {
    const { spec, name: given } = typeof entry === 'string' ? { spec: entry, name: undefined } : entry;
    const base = given ?? nameOfSource(parseSpec(spec).path);
    let name = base;
    for (let i = 2; taken.has(name); i++) name = `${base}-${i}`;
    taken.add(name);
    return { spec, name };
  });
}

/** Photos of several sources one after another, named by `nameSources`. */
export async function* openSources(specs: readonly SourceSpec[]): AsyncGenerator<SourceItem, void, undefined> {
  for (const { spec, name } of nameSources(specs)) yield* openSource(spec, { name });
}

/** Kind of a source, forced by a prefix or told by looking. @throws DataError if there is nothing. */
export async function kindOfSource(spec: string): Promise<SourceKind> {
  const { kind, path } = parseSpec(spec);
  return kind ?? detectSource(path);
}

/** Kind of a source, by looking at its files. @throws DataError if there is nothing. */
export async function detectSource(path: string): Promise<SourceKind> {
  const info = await statOf(path);
  if (!info || info.isFile()) {
    const files = info ? [path] : (await matchPattern(path)).map((file) => file.path);
    const ending = endingOf(basename(files[0] ?? path));
    if (files.length === 0) throw missing(path);
    if (ending === 'tar' || ending === 'tgz' || (ending === 'gz' && files[0]!.toLowerCase().endsWith('.tar.gz')))
      return 'webdataset';
    if (ending === 'parquet') return 'parquet';
    if (ending === 'json' && (await isCelebVHQ(path))) return 'celebvhq';
    throw new DataError(
      `openSource: expected a folder, .tar, .parquet or the JSON file of CelebV-HQ, got ${path}; try the folder it lies in`,
    );
  }
  const names = (await list(path)).sort(byCodeUnit);
  if (names.includes('list_attr_celeba.txt')) return 'celeba';
  if (await findCelebVHQ(path, names)) return 'celebvhq';
  if (await hasFeatures(path, names)) return 'ffhq';
  const has = (ending: string) => names.some((name) => endingOf(name) === ending);
  if (!names.some((name) => imageEndings.has(endingOf(name)))) {
    if (has('tar')) return 'webdataset';
    if (has('parquet')) return 'parquet';
  }
  let looked = 0;
  let utk = 0;
  for await (const file of walkFiles(path, (name) => imageEndings.has(endingOf(name)))) {
    if ('reason' in file) continue;
    looked++;
    if (isUtkFaceName(basename(file.name))) utk++;
    if (looked === namesLookedAt) break;
  }
  return utk * 2 > looked ? 'utkface' : 'folder';
}

async function* readKind(kind: SourceKind, source: string, path: string): AsyncGenerator<SourceItem, void, undefined> {
  if (kind === 'webdataset' || kind === 'parquet') {
    const { files, problems } = await filesOf(path, kind === 'webdataset' ? 'tar' : 'parquet');
    for (const { name, reason } of problems) yield rejected(source, name, reason);
    yield* kind === 'webdataset' ? readWebDataset(source, files) : readParquet(source, files);
    return;
  }
  const info = await statOf(path);
  if (!info) throw missing(path);
  if (kind === 'celebvhq') {
    const folder = info.isDirectory() ? path : dirname(path);
    const json = info.isDirectory() ? await findCelebVHQ(path, await list(path)) : path;
    if (!json)
      throw new DataError(
        `openSource: expected CelebV-HQ's JSON file in ${path}, got none; try celebvhq_info.json there`,
      );
    yield* readCelebVHQ(source, folder, json);
    return;
  }
  if (!info.isDirectory()) throw new DataError(`openSource: expected a folder, got the file ${path}; try its folder`);
  if (kind === 'folder') yield* readFolder(source, path);
  else if (kind === 'celeba') yield* readCelebALayout(source, path);
  else if (kind === 'utkface') yield* readUtkFace(source, path);
  else yield* readFfhq(source, path);
}

function parseSpec(spec: string): { kind: SourceKind | undefined; path: string } {
  const colon = spec.indexOf(':');
  const kind = sourceKinds.find((name) => name === spec.slice(0, Math.max(colon, 0)));
  return { kind, path: kind ? spec.slice(colon + 1) : spec };
}

function nameOfSource(path: string): string {
  const base = basename(resolve(path)).replace(/\.(?:tar|parquet|json)$/i, '');
  const plain = base.replace(/[*?]+|\{[^}]*\}/g, '').replace(/^[-_.]+|[-_.]+$/g, '');
  return plain || basename(dirname(resolve(path)));
}

/** A file, the files a pattern matches, or all files of an ending below a folder. */
async function filesOf(
  path: string,
  ending: string,
): Promise<{ files: SourceFile[]; problems: { name: string; reason: string }[] }> {
  const info = await statOf(path);
  if (info?.isFile()) return { files: [{ path, name: basename(path) }], problems: [] };
  const files: SourceFile[] = [];
  const problems: { name: string; reason: string }[] = [];
  if (info) {
    for await (const file of walkFiles(path, (name) => endingOf(name) === ending))
      if ('reason' in file) problems.push(file);
      else files.push({ path: file.path, name: file.name });
  } else files.push(...(await matchPattern(path)));
  if (files.length === 0 && problems.length === 0) throw info ? noFiles(path, ending) : missing(path);
  return { files, problems };
}

/** Files in the folder of a pattern whose names match its last part, in code-unit order. */
async function matchPattern(pattern: string): Promise<SourceFile[]> {
  const last = basename(pattern);
  if (!/[*?{]/.test(last)) return [];
  const matcher = patternMatcher(last);
  const folder = dirname(pattern);
  if (!(await statOf(folder))?.isDirectory()) return [];
  const names = (await list(folder)).filter(matcher).sort(byCodeUnit);
  return names.map((name) => ({ path: join(folder, name), name }));
}

function patternMatcher(pattern: string): (name: string) => boolean {
  const ranges: [bigint, bigint][] = [];
  const expression = pattern.replace(/\{(\d{1,18})\.\.(\d{1,18})\}|[\s\S]/g, (part, from?: string, to?: string) => {
    if (from !== undefined && to !== undefined) {
      ranges.push([BigInt(from), BigInt(to)]);
      return from.length === to.length ? `(\\d{${from.length}})` : '(\\d+)';
    }
    return part === '*' ? '.*' : part === '?' ? '.' : part.replace(/[\\^$.|+()[\]{}]/, '\\$&');
  });
  const regex = new RegExp(`^${expression}$`, 's');
  return (name) => {
    const match = regex.exec(name);
    return (
      match !== null && ranges.every(([from, to], i) => BigInt(match[i + 1]!) >= from && BigInt(match[i + 1]!) <= to)
    );
  };
}

async function findCelebVHQ(folder: string, names: readonly string[]): Promise<string | undefined> {
  const candidates = names.filter((name) => endingOf(name) === 'json').sort(byCodeUnit);
  // Thousands of JSON files are notes beside photos
  for (const name of candidates.slice(0, 8)) if (await isCelebVHQ(join(folder, name))) return join(folder, name);
  return undefined;
}

async function isCelebVHQ(path: string): Promise<boolean> {
  return (await startsWith(path, 4096)).includes('"appearance_mapping"');
}

async function hasFeatures(folder: string, names: readonly string[]): Promise<boolean> {
  const within = names.includes('json') ? join(folder, 'json') : folder;
  if (!(await statOf(within))?.isDirectory()) return false;
  const inside = within === folder ? names : await list(within);
  const first = [...inside].sort(byCodeUnit).find((name) => /^\d{5}\.json$/.test(name));
  if (first === undefined) return false;
  const text = await startsWith(join(within, first), 4096);
  return text.includes('"faceAttributes"') || text.trim() === '[]';
}

async function startsWith(path: string, bytes: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const start = new Uint8Array(bytes);
    const { bytesRead } = await file.read(start, 0, bytes, 0);
    return new TextDecoder().decode(start.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    throw new DataError(
      `openSource: expected a folder that can be read, got ${(error as NodeJS.ErrnoException).code} for ${folder}; try its permissions`,
    );
  }
}

async function statOf(path: string): Promise<Stats | undefined> {
  return stat(path).catch(() => undefined);
}

function missing(path: string): DataError {
  return new DataError(
    `openSource: expected a folder, file or pattern of files, got nothing at ${path}; try its full path`,
  );
}

function noFiles(path: string, ending: string): DataError {
  return new DataError(`openSource: expected .${ending} files in ${path}, got none; try another folder`);
}
