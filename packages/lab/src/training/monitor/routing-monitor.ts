import type { RoutingPlace } from '@unif2ace/core';
import type { OnTrainEvent, RouterFigures } from '../events.ts';

export interface RoutingSettings {
  /** Steps that one record averages. Default 25. */
  everySteps?: number;
  /** Records that an alarm looks back on. Default 4. */
  windowRecords?: number;
  /** An expert below this multiple of its fair share starves. Default 0.05. */
  minLoad?: number;
  /** A router whose loads have less entropy, relative to the maximum, has collapsed. Default 0.5. */
  minEntropy?: number;
}

/** The routers of one task and the output of the training graph that holds their figures. */
export interface RoutingSource {
  task: 't2i' | 'mmu';
  output: string;
  places: readonly RoutingPlace[];
}

const round = (value: number) => Number(value.toFixed(4));

/** Entropy of shares over its maximum. */
export function relativeEntropy(loads: readonly number[]): number {
  const total = loads.reduce((a, b) => a + b, 0);
  if (total === 0 || loads.length < 2) return 0;
  const entropy = loads.reduce((sum, load) => (load > 0 ? sum - (load / total) * Math.log(load / total) : sum), 0);
  return entropy / Math.log(loads.length);
}

/**
 * The paper's check of routing stability: averages loads and entropies of every router, and raises an alarm when an expert
 * starves or a router collapses over a window of records; once, and again after it has recovered.
 */
export class RoutingMonitor {
  readonly #sources: readonly RoutingSource[];
  readonly #settings: Required<RoutingSettings>;
  readonly #stage: string;
  readonly #onEvent: OnTrainEvent;
  #sums: Float64Array[];
  #parts = 0;
  #recent: RouterFigures[][] = [];
  readonly #raised = new Map<string, string>();

  constructor(
    sources: readonly RoutingSource[],
    { stage, settings = {}, onEvent }: { stage: string; settings?: RoutingSettings; onEvent: OnTrainEvent },
  ) {
    this.#sources = sources;
    this.#settings = { everySteps: 25, windowRecords: 4, minLoad: 0.05, minEntropy: 0.5, ...settings };
    this.#stage = stage;
    this.#onEvent = onEvent;
    this.#sums = this.#zeros();
  }

  #zeros(): Float64Array[] {
    return this.#sources.map(({ places }) => {
      const last = places.at(-1)!;
      return new Float64Array(last.start + last.experts + 1);
    });
  }

  /** The figures of one part of a step. */
  add(outputs: Readonly<Record<string, Float32Array>>): void {
    this.#sources.forEach(({ output }, s) => {
      const sums = this.#sums[s]!;
      outputs[output]!.forEach((value, i) => {
        sums[i]! += value;
      });
    });
    this.#parts++;
  }

  /** Called after each step with the number of steps done. */
  stepDone(step: number): void {
    if (this.#sources.length === 0 || step % this.#settings.everySteps !== 0 || this.#parts === 0) return;
    const routers = this.#sources.flatMap(({ task, places }, s) =>
      places.map(({ level, layer, experts, start }): RouterFigures => {
        const means = Array.from(this.#sums[s]!.subarray(start, start + experts + 1), (sum) => sum / this.#parts);
        const load = means.slice(0, experts);
        return {
          task,
          level,
          layer,
          load: load.map(round),
          entropy: round(relativeEntropy(load)),
          scoreEntropy: round(means[experts]!),
        };
      }),
    );
    this.#sums = this.#zeros();
    this.#parts = 0;
    this.#onEvent({ kind: 'routing', stage: this.#stage, step, routers });
    this.#recent.push(routers);
    if (this.#recent.length < this.#settings.windowRecords) return;
    this.#recent = this.#recent.slice(-this.#settings.windowRecords);
    this.#check(step);
  }

  #check(step: number): void {
    for (const [r, { task, level, layer, load }] of this.#recent[0]!.entries()) {
      const over = load.map((_, e) => this.#recent.reduce((sum, routers) => sum + routers[r]!.load[e]!, 0));
      const mean = over.map((sum) => sum / this.#recent.length);
      const where = `${task}, ${level} level, layer ${layer}`;
      const fault = this.#faultOf(mean);
      const known = this.#raised.get(where);
      if (fault === known) continue;
      const steps = this.#settings.everySteps * this.#settings.windowRecords;
      const raise = (raised: boolean, text: string) =>
        this.#onEvent({ kind: 'alarm', stage: this.#stage, step, raised, text: `routing: ${where}: ${text}` });
      if (fault) {
        this.#raised.set(where, fault);
        raise(true, `over ${steps} steps ${fault}`);
      } else {
        this.#raised.delete(where);
        raise(false, `balanced again over ${steps} steps`);
      }
    }
  }

  #faultOf(load: readonly number[]): string | undefined {
    const { minLoad, minEntropy } = this.#settings;
    const entropy = relativeEntropy(load);
    if (entropy < minEntropy)
      return `the router has collapsed: entropy of its loads under ${minEntropy} of the maximum`;
    const starving = load.flatMap((value, expert) => (value < minLoad ? [expert] : []));
    if (starving.length === 0) return undefined;
    const experts = starving.length === 1 ? `expert ${starving[0]} gets` : `experts ${starving.join(', ')} get`;
    return `${experts} less than ${100 * minLoad} % of a fair share`;
  }
}
