import { readFile, stat } from 'node:fs/promises';
import { DataError } from '../celeba.ts';
import { actionLabels, appearanceLabels, emotionLabels, otherSpellings } from './celebvhq-labels.ts';
import { readImages, stemOf } from './folder.ts';
import { type Description, rejected, type SourceItem, shown } from './items.ts';
import { DescriptionError } from './sidecar.ts';

const maxJsonBytes = 400 * 2 ** 20;

interface Clip {
  ytb_id?: unknown;
  attributes?: { appearance?: unknown; action?: unknown; emotion?: { labels?: unknown } };
}

/** Attribute per position of a clip's label array; undefined where the label is unknown. */
type Columns = (string | undefined)[];

/**
 * Frames of CelebV-HQ, named ID.jpg or ID_NN.jpg after their clip, with the labels of its JSON file. Actions are labelled for
 * the clip as a whole: a frame need not show them. Frames of one video get one identity, so that they stay in one split.
 */
export async function* readCelebVHQ(
  source: string,
  folder: string,
  jsonPath: string,
): AsyncGenerator<SourceItem, void, undefined> {
  const { meta, clips } = await readClips(jsonPath);
  const unknown: string[] = [];
  const columns = (key: string, labels: Readonly<Record<string, string>>): Columns => {
    const mapping = meta[key];
    if (!Array.isArray(mapping) || mapping.length === 0)
      throw new DataError(
        `${jsonPath}: expected meta_info.${key} as a list of labels, got ${shown(mapping)}; try the file as CelebV-HQ publishes it`,
      );
    return mapping.map((label) => {
      const attribute = attributeOf(String(label), labels);
      if (attribute === undefined) unknown.push(String(label));
      return attribute;
    });
  };
  const appearance = columns('appearance_mapping', appearanceLabels);
  const action = columns('action_mapping', actionLabels);
  for (const label of unknown)
    yield rejected(
      source,
      `meta_info/${label}`,
      `expected a label of CelebV-HQ, got ${shown(label)}; it is passed over`,
    );

  yield* readImages(source, folder, ({ name }) => {
    const stem = stemOf(name);
    const id = clips.has(stem) ? stem : stem.replace(/_\d+$/, '');
    const clip = clips.get(id);
    if (clip === undefined) throw new DescriptionError(`expected a clip of the JSON file, got ${shown(stem)}`);
    return describeClip(clip, appearance, action);
  });
}

function describeClip(clip: Clip, appearance: Columns, action: Columns): Description {
  const facts = new Map<string, boolean>();
  readLabels(clip.attributes?.appearance, appearance, 'appearance', facts);
  readLabels(clip.attributes?.action, action, 'action', facts);
  readEmotions(clip.attributes?.emotion?.labels, facts);
  return typeof clip.ytb_id === 'string' && clip.ytb_id !== '' ? { facts, identity: clip.ytb_id } : { facts };
}

function readLabels(values: unknown, columns: Columns, kind: string, facts: Map<string, boolean>): void {
  if (!Array.isArray(values) || values.length !== columns.length)
    throw new DescriptionError(
      `expected ${columns.length} ${kind} labels, got ${Array.isArray(values) ? values.length : shown(values)}`,
    );
  for (const [i, value] of values.entries()) {
    if (value !== 0 && value !== 1) throw new DescriptionError(`expected ${kind} labels 0 or 1, got ${shown(value)}`);
    const attribute = columns[i];
    if (attribute !== undefined) facts.set(attribute, value === 1);
  }
}

/**
 * One emotion: it is true, the others are not. Several in turn: which of them a frame shows is unknown, so they are left out,
 * and the rest is false.
 */
function readEmotions(labels: unknown, facts: Map<string, boolean>): void {
  const names = Array.isArray(labels)
    ? labels.map((part) => (part as { emotion?: unknown } | null)?.emotion)
    : [labels];
  const shownEmotions = new Set(
    names.map((name) => {
      const attribute = typeof name === 'string' ? attributeOf(name, emotionLabels) : undefined;
      if (attribute === undefined) throw new DescriptionError(`expected an emotion of CelebV-HQ, got ${shown(name)}`);
      return attribute;
    }),
  );
  if (shownEmotions.size === 0) throw new DescriptionError('expected at least one emotion, got none');
  for (const emotion of Object.values(emotionLabels)) {
    if (!shownEmotions.has(emotion)) facts.set(emotion, false);
    else if (shownEmotions.size === 1) facts.set(emotion, true);
  }
}

function attributeOf(label: string, labels: Readonly<Record<string, string>>): string | undefined {
  const folded = label
    .trim()
    .replace(/[\s-]+/g, '_')
    .toLowerCase();
  const published = otherSpellings[folded] ?? folded;
  for (const [name, attribute] of Object.entries(labels))
    if (name.toLowerCase() === published.toLowerCase()) return attribute;
  return undefined;
}

async function readClips(path: string): Promise<{ meta: Record<string, unknown>; clips: Map<string, Clip> }> {
  const advice = 'try the file as CelebV-HQ publishes it';
  const { size } = await stat(path);
  if (size > maxJsonBytes)
    throw new DataError(`${path}: expected at most ${maxJsonBytes} bytes of JSON, got ${size}; ${advice}`);
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new DataError(`${path}: expected JSON, got ${(error as Error).message.slice(0, 80)}; ${advice}`);
  }
  const { meta_info: meta, clips } = (json ?? {}) as { meta_info?: unknown; clips?: unknown };
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject(meta) || !isObject(clips))
    throw new DataError(`${path}: expected meta_info and clips, got ${shown(Object.keys(json ?? {}))}; ${advice}`);
  // A map: a clip named like a property of Object must not be found by accident
  return { meta, clips: new Map(Object.entries(clips) as [string, Clip][]) };
}
