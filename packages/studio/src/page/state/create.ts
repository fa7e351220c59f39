import { batch, computed, signal } from '@preact/signals';
import type { EngineInfo, EngineLimits, GenerateSettings, StudioEngine } from '../engine.ts';
import { doneFace, type Face, finish, newFace, release, watchInto } from './face.ts';
import type { HistoryEntry, HistoryStore, SweepAxis, SweepSettings } from './history.ts';
import type { PngRecord } from './png-record.ts';
import type { Preferences } from './preferences.ts';
import { Runner } from './runner.ts';

export interface Parts {
  engine: StudioEngine;
  info: EngineInfo;
  history: HistoryStore;
  preferences: Preferences;
}

export interface SweepResult {
  columns: { axis: SweepAxis; values: readonly number[] };
  rows: { axis: SweepAxis; values: readonly number[] };
  /** Row by row. */
  faces: readonly Face[];
}

const maxSweepFaces = 48;

export const randomSeed = (): number => crypto.getRandomValues(new Uint32Array(1))[0]!;

const within = (value: number, min: number, max: number) => Math.min(max, Math.max(min, value));

/** Numbers between commas; a text that says what is wrong with them instead. */
function axisValues(text: string, axis: SweepAxis, limits: EngineLimits): number[] | string {
  const max = axis === 'seed' ? 2 ** 53 - 1 : limits[axis];
  const min = axis === 'steps' || axis === 'candidates' ? 1 : 0;
  const parts = text.split(/[,;\s]+/).filter((part) => part !== '');
  if (parts.length === 0) return `${axis}: expected numbers between commas, got none; try 1, 3, 5`;
  for (const part of parts) {
    const value = Number(part);
    const whole = axis !== 'guidance' && axis !== 'temperature';
    if (!(value >= min && value <= max) || (whole && !Number.isInteger(value)))
      return `${axis}: expected ${whole ? 'whole ' : ''}numbers from ${min} to ${max.toLocaleString('en')}, got ${part}; try 1, 3, 5`;
  }
  return parts.map(Number);
}

/** Settings, faces in the making and parameter sweeps. */
export function createState({ engine, info, history, preferences }: Parts) {
  const prompt = signal('');
  const count = signal(Math.min(4, info.limits.count));
  const steps = signal(Math.min(12, info.limits.steps));
  const guidance = signal(info.guidance);
  const temperature = signal(1);
  const candidates = signal(1);
  const seed = signal(randomSeed());
  /** Off: every run draws a new seed. */
  const keepSeed = signal(false);
  const faces = signal<readonly Face[]>([]);
  const sweeping = signal(false);
  const sweepAxes = signal<SweepSettings>({
    columns: { axis: 'guidance', values: '0, 1, 3, 6' },
    rows: { axis: 'seed', values: '1, 2, 3' },
  });
  const sweep = signal<SweepResult | undefined>(undefined);
  /** What was restored, or why the same settings may give another face. */
  const notice = signal('');
  const runner = new Runner();

  const settings = computed<GenerateSettings>(() => ({
    prompt: prompt.value.trim(),
    count: count.value,
    seed: seed.value,
    steps: steps.value,
    guidance: guidance.value,
    temperature: temperature.value,
    candidates: candidates.value,
  }));

  const remember = (entry: Omit<HistoryEntry, 'id' | 'at' | 'model' | 'modelHash'>) => {
    const { name: model, hash: modelHash } = info.model;
    if (preferences.keepHistory.value) void history.add({ ...entry, model, modelHash });
  };

  const sweepProblem = computed(() => {
    const { columns, rows } = sweepAxes.value;
    const x = axisValues(columns.values, columns.axis, info.limits);
    const y = axisValues(rows.values, rows.axis, info.limits);
    if (typeof x === 'string') return x;
    if (typeof y === 'string') return y;
    if (columns.axis === rows.axis) return `sweep: expected two different settings, got ${rows.axis} twice; try seed`;
    const cells = x.length * y.length;
    return cells > maxSweepFaces
      ? `sweep: expected at most ${maxSweepFaces} faces, got ${cells}; try fewer values`
      : '';
  });

  /** Other faces, or a sweep, in place of those shown. */
  function show(next: readonly Face[], grid?: SweepResult): void {
    release([...faces.value, ...(sweep.value?.faces ?? [])]);
    batch(() => {
      faces.value = next;
      sweep.value = grid;
    });
  }

  async function generate(): Promise<void> {
    if (runner.busy.value) return;
    if (!Number.isSafeInteger(seed.value) || seed.value < 0) {
      runner.fail('seed: expected a whole number from 0 on; try the dice');
      return;
    }
    if (!keepSeed.value && seed.value === faces.value[0]?.settings.seed) seed.value = randomSeed();
    notice.value = '';
    const wanted = settings.value;
    const making = Array.from({ length: wanted.count }, (_, index) => newFace(wanted, index));
    show(making);
    const result = await runner.run(
      'Starting',
      (signal, report) => engine.generate(wanted, watchInto(making, signal, report)),
      ({ images, elapsedMs }) =>
        `${images.length === 1 ? 'One face' : `${images.length} faces`} in ${(elapsedMs / 1000).toFixed(1)} s`,
    );
    if (!result) return;
    finish(making, result.images);
    remember({ kind: 'generate', settings: wanted, images: result.images });
  }

  async function runSweep(): Promise<void> {
    if (runner.busy.value) return;
    if (sweepProblem.value) {
      runner.fail(sweepProblem.value);
      return;
    }
    const axes = sweepAxes.value;
    const columns = axisValues(axes.columns.values, axes.columns.axis, info.limits) as number[];
    const rows = axisValues(axes.rows.values, axes.rows.axis, info.limits) as number[];
    const base = { ...settings.value, count: 1 };
    const cells = rows.flatMap((row) =>
      columns.map((column) => newFace({ ...base, [axes.rows.axis]: row, [axes.columns.axis]: column }, 0)),
    );
    notice.value = '';
    show([], {
      columns: { axis: axes.columns.axis, values: columns },
      rows: { axis: axes.rows.axis, values: rows },
      faces: cells,
    });
    const images = await runner.run(
      'Starting',
      async (signal, report) => {
        const made: Blob[] = [];
        for (const [i, cell] of cells.entries()) {
          signal.throwIfAborted();
          const watch = watchInto([cell], signal, (status) =>
            report(
              status.state === 'working'
                ? {
                    ...status,
                    note: `Face ${i + 1} of ${cells.length}`,
                    share: (i + (status.share ?? 0)) / cells.length,
                  }
                : status,
            ),
          );
          const { images: one } = await engine.generate(cell.settings, watch);
          finish([cell], one);
          made.push(one[0]!);
        }
        return made;
      },
      (made) => `Sweep of ${made.length} faces done`,
    );
    if (images) remember({ kind: 'sweep', settings: base, sweep: axes, images });
  }

  function apply(wanted: GenerateSettings): void {
    const { limits } = info;
    prompt.value = wanted.prompt;
    count.value = within(wanted.count, 1, limits.count);
    seed.value = wanted.seed;
    keepSeed.value = true;
    steps.value = within(wanted.steps, 1, limits.steps);
    guidance.value = within(wanted.guidance, 0, limits.guidance);
    temperature.value = within(wanted.temperature, 0, limits.temperature);
    candidates.value = within(wanted.candidates, 1, limits.candidates);
  }

  const otherModel = (hash: string, name = `${hash.slice(0, 8)}…`): string =>
    hash === info.model.hash ? '' : `. Another model made it (${name}), so the seed gives another face here`;

  /** Settings and pictures as they were. */
  function restore(entry: HistoryEntry): void {
    runner.reset();
    apply(entry.settings);
    sweeping.value = entry.kind === 'sweep';
    const { sweep: axes, images, modelHash = info.model.hash } = entry;
    const more = { madeBy: modelHash, ...(entry.region && { region: entry.region }) };
    if (axes) {
      sweepAxes.value = axes;
      const columns = axisValues(axes.columns.values, axes.columns.axis, info.limits);
      const rows = axisValues(axes.rows.values, axes.rows.axis, info.limits);
      if (typeof columns === 'string' || typeof rows === 'string') return;
      show([], {
        columns: { axis: axes.columns.axis, values: columns },
        rows: { axis: axes.rows.axis, values: rows },
        faces: images.map((png, i) => {
          const place = {
            [axes.rows.axis]: rows[Math.floor(i / columns.length)]!,
            [axes.columns.axis]: columns[i % columns.length]!,
          };
          return doneFace(png, { ...entry.settings, ...place }, 0, more);
        }),
      });
    } else show(images.map((png, index) => doneFace(png, entry.settings, index, more)));
    notice.value = `Settings restored from the history${otherModel(modelHash, entry.model)}`;
  }

  /** Settings of a generated file, and the file itself as a face. */
  function restorePng(record: PngRecord, png: Blob): void {
    const number = (name: string, fallback: number): number => {
      const value = record.settings[name];
      return typeof value === 'number' && Number.isFinite(value) ? value : fallback;
    };
    const index = within(Math.trunc(number('index', 0)), 0, info.limits.count - 1);
    const wanted: GenerateSettings = {
      prompt: record.prompt,
      count: index + 1,
      seed: record.seed,
      steps: number('steps', 12),
      guidance: number('guidance', info.guidance),
      temperature: number('temperature', 1),
      candidates: number('candidates', 1),
    };
    runner.reset();
    apply(wanted);
    sweeping.value = false;
    const { region } = record.settings;
    const more = { madeBy: record.modelHash, ...(typeof region === 'string' && { region }) };
    show([doneFace(png, wanted, index, more)]);
    notice.value = `Settings restored from the picture${otherModel(record.modelHash)}`;
  }

  return {
    prompt,
    count,
    steps,
    guidance,
    temperature,
    candidates,
    seed,
    keepSeed,
    settings,
    faces,
    sweeping,
    sweepAxes,
    sweepProblem,
    sweep,
    notice,
    runner,
    remember,
    generate,
    runSweep,
    restore,
    restorePng,
  };
}

export type CreateState = ReturnType<typeof createState>;
