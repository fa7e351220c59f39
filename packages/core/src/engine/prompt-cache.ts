import { float32, int32, type States } from '@unif2ace/graph';
import { layoutOf } from '../model/config.ts';
import type { LoadedModel } from '../model/source.ts';
import { additiveMask, hiddenScore, t2iVisibility } from '../prompt/masks.ts';
import { type GraphCache, needed } from './graph-cache.ts';
import { type KeptState, keptState } from './kept-state.ts';

/** A prompt that has been read. */
export interface ReadPrompt {
  readonly state: KeptState;
  /** What image rows see of it, additive [P]: not its padding. */
  readonly mask: Float32Array;
}

interface Entry {
  prompt: Promise<ReadPrompt>;
  users: number;
}

/** Prompts nobody uses that are kept all the same: most requests repeat one, and the empty one of guidance is in all. */
const keptPrompts = 16;

/** Keys and values of prompts, computed once however many images and requests share them. */
export class PromptCache {
  readonly #model: LoadedModel;
  readonly #graphs: GraphCache;
  readonly #states: States;
  readonly #entries = new Map<string, Entry>();

  constructor(model: LoadedModel, graphs: GraphCache, states: States) {
    this.#model = model;
    this.#graphs = graphs;
    this.#states = states;
  }

  /** The prompt of these ids, and how to give it back. */
  async use(ids: readonly number[]): Promise<{ prompt: ReadPrompt; release: () => void }> {
    const key = ids.join();
    const entry = this.#entries.get(key) ?? { prompt: this.#read(ids), users: 0 };
    // the latest last
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.users++;
    try {
      const prompt = await entry.prompt;
      return { prompt, release: () => this.#release(entry, prompt) };
    } catch (error) {
      this.#entries.delete(key);
      throw error;
    }
  }

  #release(entry: Entry, { state }: ReadPrompt): void {
    entry.users--;
    // closed in the meantime
    if (![...this.#entries.values()].includes(entry)) {
      if (entry.users === 0) state.free();
      return;
    }
    const unused = [...this.#entries].filter(([, { users }]) => users === 0);
    for (const [key, { prompt }] of unused.slice(0, Math.max(0, unused.length - keptPrompts))) {
      this.#entries.delete(key);
      void prompt.then((known) => known.state.free());
    }
  }

  async #read(ids: readonly number[]): Promise<ReadPrompt> {
    const layout = layoutOf(this.#model.config);
    const state = keptState(this.#states, this.#model.config, ids.length);
    try {
      const session = await this.#graphs.get('prompt', 1);
      const mask = additiveMask(t2iVisibility(layout, ids));
      const feeds = { ids: int32(ids, [1, ids.length]), mask: float32(mask, [1, 1, ids.length, ids.length]) };
      const writes = [{ state: state.id, row: 0, at: 0, count: ids.length }];
      await this.#states.run(session, { feeds: needed(session, feeds), rows: [], writes, fetches: [] });
    } catch (error) {
      state.free();
      throw error;
    }
    state.length = ids.length;
    return { state, mask: Float32Array.from(ids, (id) => (id === layout.pad ? hiddenScore : 0)) };
  }
}
