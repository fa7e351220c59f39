import { float32, int32, type States, type TensorValues } from '@unif2ace/graph';
import { imageTokens, layoutOf } from '../model/config.ts';
import type { LoadedModel } from '../model/source.ts';
import { additiveMask, cachedVisibility } from '../prompt/masks.ts';
import { mmuPrefix } from '../prompt/sequences.ts';
import { imageIds } from '../prompt/special-tokens.ts';
import { otherCodes } from './denoising.ts';
import { type GraphCache, needed } from './graph-cache.ts';
import { type KeptState, keptState } from './kept-state.ts';
import { type BatchItem, padded, StepBatcher } from './step-batcher.ts';

// R rows of a run, C positions that an answer's state has room for, V vocabulary

/** Answers that read in one run. */
const rowBudget = 8;
/** Tokens of a question that are read at once. */
const questionChunk = 8;

interface ReadItem extends BatchItem {
  state: KeptState;
  ids: readonly number[];
}

/** Tokens that were read, with the logits after each of them [tokens·V]. */
interface ReadChunk {
  ids: readonly number[];
  logits: Float32Array;
}

/** Tokens of all answers, in shared runs on kept keys and values: one forward of one token for each word. */
export class Answering {
  readonly #model: LoadedModel;
  readonly #graphs: GraphCache;
  readonly #states: States;
  readonly #batcher = new StepBatcher<ReadItem, Float32Array>(rowBudget, (items) => this.#run(items));

  constructor(model: LoadedModel, graphs: GraphCache, states: States) {
    this.#model = model;
    this.#graphs = graphs;
    this.#states = states;
  }

  /** Reads an image, its codes [N·G] and the encoders' features, into a state with room for an answer. */
  async look(codes: Int32Array, features: TensorValues): Promise<KeptState> {
    const { config } = this.#model;
    const layout = layoutOf(config);
    const image = imageIds(layout, codes);
    const ids = mmuPrefix(layout, image.first);
    const session = await this.#graphs.get('imagePrefix');
    const feeds = needed(session, { ids: int32(ids, [1, ids.length]), ...otherCodes([image]), ...features });
    const state = keptState(this.#states, config, this.#capacity);
    try {
      const writes = [{ state: state.id, row: 0, at: 0, count: ids.length }];
      await this.#states.run(session, { feeds, rows: [], writes, fetches: [] });
    } catch (error) {
      state.free();
      throw error;
    }
    state.length = ids.length;
    return state;
  }

  get #capacity(): number {
    return imageTokens(this.#model.config) + 3 + this.#model.config.answerTokens;
  }

  /** Reads tokens behind the state; the logits [V] after the last. */
  async read(state: KeptState, ids: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    const { vocabSize } = layoutOf(this.#model.config);
    let last: Float32Array = new Float32Array(0);
    for await (const { logits } of this.#chunks(state, ids, signal)) last = logits.subarray(-vocabSize);
    return last;
  }

  /** Reads a question and an answer behind the state; the log-probability of the answer, in nats. */
  async logLikelihood(
    state: KeptState,
    question: readonly number[],
    answer: readonly number[],
    signal?: AbortSignal,
  ): Promise<number> {
    const { vocabSize } = layoutOf(this.#model.config);
    const ids = [...question, ...answer];
    let sum = 0;
    let next = 1;
    for await (const { ids: read, logits } of this.#chunks(state, ids.slice(0, -1), signal))
      for (let i = 0; i < read.length; i++, next++)
        if (next >= question.length) sum += logSoftmax(logits.subarray(i * vocabSize, (i + 1) * vocabSize), ids[next]!);
    return sum;
  }

  /** Reads in chunks of one shape. */
  async *#chunks(state: KeptState, ids: readonly number[], signal?: AbortSignal): AsyncGenerator<ReadChunk> {
    for (let at = 0; at < ids.length; ) {
      const kind = ids.length - at > 1 ? questionChunk : 1;
      const chunk = ids.slice(at, at + kind);
      yield { ids: chunk, logits: await this.#batcher.submit({ rows: 1, kind, state, ids: chunk }, signal) };
      at += chunk.length;
    }
  }

  async #run(items: readonly ReadItem[]): Promise<Float32Array[]> {
    const { config } = this.#model;
    const layout = layoutOf(config);
    const size = items[0]!.kind as number;
    const rows = padded(items);
    const ids = rows.flatMap((row) => Array.from({ length: size }, (_, i) => row.ids[i] ?? layout.pad));
    const last = config.backbone.phi.maxPositions - 1;
    const positions = rows.flatMap(({ state }) =>
      Array.from({ length: size }, (_, i) => Math.min(state.length + i, last)),
    );
    const width = this.#capacity + size;
    const mask = new Float32Array(rows.length * size * width);
    rows.forEach(({ state }, i) => {
      mask.set(additiveMask(cachedVisibility(state.length, this.#capacity, size)), i * size * width);
    });
    const session = await this.#graphs.get('text', size, rows.length);
    const { logits } = await this.#states.run(session, {
      feeds: {
        ids: int32(ids, [rows.length, size]),
        positions: int32(positions, [rows.length, size]),
        mask: float32(mask, [rows.length, 1, size, width]),
      },
      rows: rows.map(({ state }) => state.id),
      writes: items.map((item, row) => ({
        state: item.state.id,
        row,
        at: item.state.length,
        count: item.ids.length,
      })),
      fetches: ['logits'],
    });
    const vocabulary = layout.vocabSize;
    return items.map(({ state, ids: read }, row) => {
      state.length += read.length;
      const at = row * size * vocabulary;
      return (logits!.data as Float32Array).slice(at, at + read.length * vocabulary);
    });
  }
}

/** log p of one of V classes, in Float64. */
function logSoftmax(logits: Float32Array, index: number): number {
  const max = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return logits[index]! - max - Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
}
