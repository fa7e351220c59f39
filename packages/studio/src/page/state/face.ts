import { type Signal, signal } from '@preact/signals';
import type { GenerateSettings, GenerateWatch, StudioPreview } from '../engine.ts';
import type { RunStatus } from './runner.ts';

/** A picture on the page: first in the making, then done. */
export interface Face {
  readonly key: string;
  /** Place in its request from 0. */
  readonly index: number;
  readonly settings: GenerateSettings;
  /** Of an edit: the part that was made anew. */
  readonly region?: string;
  /** Shows a real person, in part at least. */
  readonly fromPhoto: boolean;
  /** Hash of the model that made it from its settings, null where they did not; absent: the model of this page. */
  readonly madeBy?: string | null;
  readonly preview: Signal<StudioPreview | undefined>;
  readonly png: Signal<Blob | undefined>;
}

type FaceExtras = Partial<Pick<Face, 'region' | 'fromPhoto' | 'madeBy'>>;

let made = 0;

export function newFace(settings: GenerateSettings, index: number, more: FaceExtras = {}): Face {
  return {
    key: `face-${made++}`,
    index,
    settings,
    fromPhoto: false,
    preview: signal(undefined),
    png: signal(undefined),
    ...more,
  };
}

export function doneFace(png: Blob, settings: GenerateSettings, index = 0, more: FaceExtras = {}): Face {
  const face = newFace(settings, index, more);
  face.png.value = png;
  return face;
}

/** Whether its settings alone make it again with this model, in one go. */
export function madeBySettings({ region, fromPhoto, madeBy, settings }: Face, hash: string): boolean {
  const alone = settings.candidates === 1;
  return region === undefined && !fromPhoto && alone && (madeBy === undefined || madeBy === hash);
}

/** Gives the pictures of a request to its faces; their previews go. */
export function finish(faces: readonly Face[], images: readonly Blob[]): void {
  images.forEach((png, i) => {
    faces[i]!.png.value = png;
  });
  release(faces);
}

/** Frees the bitmaps of previews, for faces that are done or no longer shown; a canvas keeps what it has painted. */
export function release(faces: readonly Face[]): void {
  for (const { preview } of faces) {
    const last = preview.value;
    preview.value = undefined;
    last?.picture.close();
  }
}

/** A watch that paints previews on faces and tells the state of the work. */
export function watchInto(
  faces: readonly Face[],
  signal: AbortSignal,
  report: (status: RunStatus) => void,
): GenerateWatch {
  return {
    signal,
    onQueued: (ahead) => report({ state: 'queued', ahead }),
    onStep: ({ step, steps, images }) => {
      if (signal.aborted) {
        for (const { picture } of images) picture.close();
        return;
      }
      for (const image of images) {
        const face = faces[image.index];
        const before = face?.preview.value;
        if (face) face.preview.value = image;
        else image.picture.close();
        before?.picture.close();
      }
      // a large count is made in parts: what is done counts by pictures, the rest by its steps
      const before = images[0]?.index ?? 0;
      const share = (before + (images.length * step) / steps) / faces.length;
      report({ state: 'working', note: `Step ${step} of ${steps}`, share: Math.min(1, share) });
    },
  };
}

/** A file name of words and seed. */
export function fileName({ settings, index }: Pick<Face, 'settings' | 'index'>): string {
  const words = settings.prompt
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60);
  return `${words || 'face'}-${settings.seed}-${index}.png`;
}

export function download(png: Blob, name: string): void {
  const url = URL.createObjectURL(png);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
