import type { StateId, States } from '@unif2ace/graph';
import type { ModelConfig } from '../model/config.ts';

/** Frees states whose holder was forgotten: a safety net, since the collector does not see their memory. */
const forgotten = new FinalizationRegistry<() => void>((free) => free());

/** Keys and values of one sequence where the sessions run, its first `length` positions filled. */
export class KeptState {
  readonly #states: States;
  readonly #id: StateId;
  #freed = false;
  length: number;

  constructor(states: States, id: StateId, length: number) {
    this.#states = states;
    this.#id = id;
    this.length = length;
    forgotten.register(this, () => states.free(id), this);
  }

  /** @throws Error when it was freed. */
  get id(): StateId {
    if (this.#freed) throw new Error('keptState: expected a state in use, got one that was freed; try look again');
    return this.#id;
  }

  /** A copy to go on from twice (one image, several questions). */
  clone(): KeptState {
    return new KeptState(this.#states, this.#states.clone(this.id), this.length);
  }

  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    forgotten.unregister(this);
    this.#states.free(this.#id);
  }
}

/** An empty state with room for `room` positions of every layer. */
export function keptState(states: States, config: ModelConfig, room: number): KeptState {
  const { layers, heads, hiddenSize } = config.backbone.phi;
  const names = Array.from({ length: layers }, (_, layer) => [`key${layer}`, `value${layer}`]).flat();
  const shapes = Object.fromEntries(names.map((name) => [name, [heads, room, hiddenSize / heads]]));
  return new KeptState(states, states.create(shapes), 0);
}
