import type { Locator, Rejection, SourcePhoto } from '../build/types.ts';
import { statedAttributes } from './facts.ts';

/** What a source yields: a photo, or what could not be read of it. */
export type SourceItem = SourcePhoto | Rejection;

export function isRejection(item: SourceItem): item is Rejection {
  return 'reason' in item;
}

/** Endings of pictures that can be decoded, lower case, without the dot. */
export const imageEndings: ReadonlySet<string> = new Set([
  'jpg',
  'jpeg',
  'png',
  'webp',
  'avif',
  'heic',
  'heif',
  'tif',
  'tiff',
  'gif',
  'bmp',
]);

/** Ending of a file name without the dot, lower case; "" if it has none. */
export function endingOf(name: string): string {
  const dot = name.lastIndexOf('.');
  return dot <= name.lastIndexOf('/') + 1 ? '' : name.slice(dot + 1).toLowerCase();
}

/** A tar or Parquet file of a source. */
export interface SourceFile {
  path: string;
  /** Below the source, with forward slashes. */
  name: string;
}

/** What is known about a photo beside its bytes. */
export interface Description {
  facts: ReadonlyMap<string, boolean>;
  identity?: string;
  ageYears?: number;
  caption?: string;
}

export const nothingKnown: Description = { facts: new Map() };

export function sourcePhoto(source: string, name: string, locator: Locator, description: Description): SourcePhoto {
  const { facts, identity, ageYears, caption } = description;
  return {
    source,
    name,
    locator,
    facts: statedAttributes(facts),
    ...(identity !== undefined && { identity }),
    ...(ageYears !== undefined && { ageYears }),
    ...(caption !== undefined && { caption }),
  };
}

export function rejected(source: string, name: string, reason: string): Rejection {
  return { source, name, stage: 'ingest', reason };
}

/** A value as it appears in a one-line reason: shortened, control characters escaped. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/** By UTF-16 code unit: the same order on every machine, whatever its locale. */
export function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
