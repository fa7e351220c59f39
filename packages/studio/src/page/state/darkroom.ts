import { batch, computed, signal } from '@preact/signals';
import type { EditRegion, NamedRegion, Routing } from '../engine.ts';
import type { CreateState, Parts } from './create.ts';
import { randomSeed } from './create.ts';
import { type Face, finish, madeBySettings, newFace, release, watchInto } from './face.ts';
import { oneLine, Runner } from './runner.ts';

/** Points in shares of the picture's edge, the radius too. */
export interface Stroke {
  points: readonly { x: number; y: number }[];
  radius: number;
}

export type RegionChoice = NamedRegion | 'brush';

/** Rectangles [left, top, right, bottom] as shares of the picture that a named part covers, for the eye and the pointer. */
export const regionBoxes: Record<NamedRegion, readonly (readonly [number, number, number, number])[]> = {
  hair: [
    [0, 0, 1, 0.36],
    [0, 0.36, 0.2, 0.75],
    [0.8, 0.36, 1, 0.75],
  ],
  eyes: [[0.2, 0.42, 0.8, 0.6]],
  mouth: [[0.3, 0.66, 0.7, 0.84]],
};

/** Draws strokes in one colour onto a square of `size` pixels. */
export function paintStrokes(
  canvas: OffscreenCanvasRenderingContext2D | CanvasRenderingContext2D,
  strokes: readonly Stroke[],
  size: number,
): void {
  canvas.lineCap = 'round';
  canvas.lineJoin = 'round';
  for (const { points, radius } of strokes) {
    canvas.lineWidth = 2 * radius * size;
    canvas.beginPath();
    points.forEach(({ x, y }, i) => {
      if (i === 0) canvas.moveTo(x * size, y * size);
      // a line of no length still draws its round ends
      canvas.lineTo(x * size + (points.length === 1 ? 0.01 : 0), y * size);
    });
    canvas.stroke();
  }
}

async function maskOf(picture: Blob, strokes: readonly Stroke[]): Promise<Blob> {
  const bitmap = await createImageBitmap(picture);
  const { width, height } = bitmap;
  bitmap.close();
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d')!;
  context.fillStyle = '#000';
  context.fillRect(0, 0, width, height);
  context.strokeStyle = '#fff';
  context.scale(1, height / width);
  paintStrokes(context, strokes, width);
  return canvas.convertToBlob({ type: 'image/png' });
}

/** One face at large: its parts made anew, its versions, the experts that made it. */
export function darkroomState({ engine, info, preferences }: Parts, create: CreateState) {
  const versions = signal<readonly Face[]>([]);
  const current = signal<Face | undefined>(undefined);
  const region = signal<RegionChoice>('hair');
  const strokes = signal<readonly Stroke[]>([]);
  const brushRadius = signal(0.08);
  const prompt = signal('');
  const count = signal(1);
  const routing = signal<Routing | undefined>(undefined);
  const routingProblem = signal('');
  /** The face was made again for it; otherwise it was told from the picture. */
  const routedAgain = signal(false);
  /** Of the heatmap laid over the picture: its place among the layers, and the expert. */
  const shownExpert = signal<{ place: number; expert: number } | undefined>(undefined);
  const runner = new Runner();
  let routingCall: AbortController | undefined;

  const problem = computed(() =>
    region.value === 'brush' && strokes.value.length === 0 ? 'Paint over the part to make anew first.' : '',
  );

  function show(face: Face): void {
    if (current.value === face) return;
    routingCall?.abort();
    current.value = face;
    routing.value = undefined;
    routingProblem.value = '';
    shownExpert.value = undefined;
  }

  function open(face: Face): void {
    runner.reset();
    versions.value = [face];
    strokes.value = [];
    prompt.value = face.settings.prompt;
    show(face);
  }

  function close(): void {
    runner.reset();
    routingCall?.abort();
    versions.value = [];
    current.value = undefined;
  }

  const canRoute = computed(() => engine.routing !== undefined && current.value?.png.value !== undefined);

  async function loadRouting(): Promise<void> {
    const face = current.value;
    const picture = face?.png.value;
    if (!face || !picture || routing.value || !engine.routing) return;
    routingProblem.value = '';
    routingCall?.abort();
    const call = new AbortController();
    routingCall = call;
    const { settings, index } = face;
    try {
      const again = madeBySettings(face, info.model.hash);
      const loaded = await engine.routing({ settings, index, ...(!again && { picture }) }, call.signal);
      if (current.value !== face) return;
      batch(() => {
        routing.value = loaded;
        routedAgain.value = again;
      });
    } catch (error) {
      if (current.value === face && !call.signal.aborted) routingProblem.value = oneLine(error);
    }
  }

  async function apply(): Promise<void> {
    const face = current.value;
    const picture = face?.png.value;
    if (!face || !picture || runner.busy.value || create.runner.busy.value) return;
    if (problem.value) {
      runner.fail(problem.value);
      return;
    }
    const chosen = region.value;
    const own = { prompt: prompt.value.trim(), count: count.value, seed: randomSeed() };
    const settings = { ...create.settings.value, ...own };
    const making = Array.from({ length: settings.count }, (_, index) =>
      newFace(settings, index, { region: chosen, fromPhoto: face.fromPhoto }),
    );
    const before = versions.value;
    versions.value = [...before, ...making];
    show(making[0]!);
    const result = await runner.run(
      'Starting',
      async (signal, report) => {
        const part: EditRegion = chosen === 'brush' ? await maskOf(picture, strokes.value) : chosen;
        return engine.edit({ picture, face: 'aligned' }, part, settings, watchInto(making, signal, report));
      },
      ({ images, elapsedMs }) =>
        `${images.length === 1 ? 'Made anew' : `${images.length} versions`} in ${(elapsedMs / 1000).toFixed(1)} s`,
    );
    if (!result) {
      if (versions.value.includes(making[0]!)) {
        versions.value = before;
        show(face);
      }
      release(making);
      return;
    }
    finish(making, result.images);
    current.value = making[0];
    if (!face.fromPhoto || preferences.keepPhotos.value)
      create.remember({ kind: 'edit', settings, region: chosen, images: result.images });
  }

  return {
    versions,
    current,
    region,
    strokes,
    brushRadius,
    prompt,
    count,
    problem,
    routing,
    routingProblem,
    routedAgain,
    shownExpert,
    canRoute,
    runner,
    open,
    close,
    show,
    apply,
    loadRouting,
  };
}

export type DarkroomState = ReturnType<typeof darkroomState>;
