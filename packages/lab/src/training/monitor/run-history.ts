import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AnswersEvent, ProgressEvent, RouterFigures, SamplesEvent, TrainEvent } from '../events.ts';
import { metricsFile, parseLine } from './metrics-log.ts';

/** What the live page shows. Curves are thinned: a point may be the mean of several. */
export interface RunView {
  /** Changes when anything else does, and with the server. */
  version: string;
  stages: StageView[];
  latest: ProgressEvent | null;
  /** Time of the last event, ISO 8601. */
  lastTime: string | null;
  finished: boolean;
  samples: SamplesEvent[];
  answers: AnswersEvent[];
  /** Alarms that are raised and not cleared, then all in order. */
  raised: string[];
  notes: { time: string; kind: 'alarm' | 'clear' | 'log'; text: string }[];
}

interface StageView {
  stage: string;
  steps: number;
  /** Columns of one length: `step` and each figure; null where it is not known. */
  curves: Record<string, (number | null)[]>;
  routers: RouterView[];
}

interface RouterView extends Pick<RouterFigures, 'task' | 'level' | 'layer'> {
  step: number[];
  /** For each expert its load over time. */
  load: number[][];
  entropy: number[];
  scoreEntropy: number[];
}

type Row = Record<string, number | null>;
type RoutingRow = { step: number; routers: RouterFigures[] };

const maxCurvePoints = 400;
const maxRoutingColumns = 120;
const maxNotes = 200;
const maxSamples = 60;

interface Stage {
  steps: number;
  rows: Row[];
  routing: RoutingRow[];
}

/** Reads a run's `metrics.jsonl` as it grows, from the start again when it was rewritten. */
export class RunHistory {
  readonly #path: string;
  #inode = 0n;
  #offset = 0;
  #rest = '';
  #stages = new Map<string, Stage>();
  #view: Omit<RunView, 'version' | 'stages' | 'raised'> = emptyView();
  #raised = new Map<string, string>();
  readonly #started = Date.now();
  #reads = 0;

  constructor(folder: string) {
    this.#path = join(folder, metricsFile);
  }

  async view(): Promise<RunView> {
    await this.#read();
    return {
      version: `${this.#started}.${this.#reads}`,
      ...this.#view,
      raised: [...this.#raised.values()],
      stages: [...this.#stages].map(([stage, { steps, rows, routing }]) => ({
        stage,
        steps,
        curves: columnsOf(thinned(rows, maxCurvePoints, meanRow)),
        routers: routersOf(thinned(routing, maxRoutingColumns, meanRouting)),
      })),
    };
  }

  async #read(): Promise<void> {
    const known = await stat(this.#path, { bigint: true }).catch(() => undefined);
    if (!known) return;
    if (known.ino !== this.#inode || known.size < this.#offset) this.#reset(known.ino);
    const size = Number(known.size) - this.#offset;
    if (size <= 0) return;
    const file = await open(this.#path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, this.#offset);
      this.#offset += bytesRead;
      // a line ends in one byte, so no character is cut where the last whole line ends
      const text = this.#rest + buffer.subarray(0, bytesRead).toString('latin1');
      const end = text.lastIndexOf('\n') + 1;
      this.#rest = text.slice(end);
      for (const line of Buffer.from(text.slice(0, end), 'latin1').toString('utf8').split('\n')) {
        const event = parseLine(line);
        if (event) this.#add(event);
      }
    } finally {
      await file.close();
    }
    this.#reads++;
  }

  #reset(inode: bigint): void {
    this.#inode = inode;
    this.#offset = 0;
    this.#rest = '';
    this.#stages = new Map();
    this.#raised = new Map();
    this.#view = emptyView();
  }

  #stage(name: string, steps: number): Stage {
    const known = this.#stages.get(name) ?? { steps, rows: [], routing: [] };
    this.#stages.set(name, known);
    return known;
  }

  #add(event: TrainEvent & { time: string }): void {
    const { time } = event;
    this.#view.lastTime = time;
    switch (event.kind) {
      case 'begin':
        this.#stage(event.stage, event.steps).steps = event.steps;
        // alarms speak of the stage that raised them
        this.#raised.clear();
        break;
      case 'progress': {
        const { step, steps, loss, metrics, gradNorm, learningRate, tokensPerSecond } = event;
        this.#view.latest = event;
        this.#stage(event.stage, steps).rows.push({ step, loss, ...metrics, gradNorm, learningRate, tokensPerSecond });
        break;
      }
      case 'routing':
        this.#stage(event.stage, 0).routing.push({ step: event.step, routers: event.routers });
        break;
      case 'samples':
        this.#view.samples = [...this.#view.samples, event].slice(-maxSamples);
        break;
      case 'answers':
        this.#view.answers = [...this.#view.answers, event].slice(-maxSamples);
        break;
      case 'alarm': {
        const where = event.text.split(':').slice(0, 2).join(':');
        if (event.raised) this.#raised.set(where, event.text);
        else this.#raised.delete(where);
        this.#note({
          time,
          kind: event.raised ? 'alarm' : 'clear',
          text: `${event.stage} step ${event.step}: ${event.text}`,
        });
        break;
      }
      case 'log':
        this.#note({ time, kind: 'log', text: event.text });
        break;
      case 'stage':
        this.#view.finished = event.name === 'done';
        this.#note({ time, kind: 'log', text: event.detail ? `${event.name}: ${event.detail}` : event.name });
    }
  }

  #note(note: RunView['notes'][number]): void {
    this.#view.notes = [...this.#view.notes, note].slice(-maxNotes);
  }
}

function emptyView(): Omit<RunView, 'version' | 'stages' | 'raised'> {
  return { latest: null, lastTime: null, finished: false, samples: [], answers: [], notes: [] };
}

/** At most `max` items, each the mean of as many neighbours. */
function thinned<T>(items: readonly T[], max: number, mean: (items: readonly T[]) => T): T[] {
  const size = Math.ceil(items.length / max);
  if (size <= 1) return [...items];
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => mean(items.slice(i * size, (i + 1) * size)));
}

const average = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

function meanRow(rows: readonly Row[]): Row {
  const names = new Set(rows.flatMap((row) => Object.keys(row)));
  const mean = Object.fromEntries(
    [...names].map((name) => {
      const values = rows.flatMap((row) => row[name] ?? []);
      return [name, values.length > 0 ? average(values) : null];
    }),
  );
  return { ...mean, step: rows.at(-1)!.step! };
}

function meanRouting(rows: readonly RoutingRow[]): RoutingRow {
  const { step, routers } = rows.at(-1)!;
  const over = (r: number, read: (router: RouterFigures) => number) =>
    average(rows.map((row) => read(row.routers[r]!)));
  return {
    step,
    routers: routers.map((router, r) => ({
      ...router,
      load: router.load.map((_, e) => over(r, ({ load }) => load[e]!)),
      entropy: over(r, ({ entropy }) => entropy),
      scoreEntropy: over(r, ({ scoreEntropy }) => scoreEntropy),
    })),
  };
}

function columnsOf(rows: readonly Row[]): StageView['curves'] {
  const names = new Set(rows.flatMap((row) => Object.keys(row)));
  return Object.fromEntries([...names].map((name) => [name, rows.map((row) => row[name] ?? null)]));
}

function routersOf(rows: readonly RoutingRow[]): RouterView[] {
  const last = rows.at(-1)?.routers ?? [];
  return last.map(({ task, level, layer, load }, r) => ({
    task,
    level,
    layer,
    step: rows.map(({ step }) => step),
    load: load.map((_, e) => rows.map(({ routers }) => Number(routers[r]!.load[e]!.toFixed(3)))),
    entropy: rows.map(({ routers }) => routers[r]!.entropy),
    scoreEntropy: rows.map(({ routers }) => routers[r]!.scoreEntropy),
  }));
}
