import { float32, int32, type States, type TensorValues } from '@unif2ace/graph';
import { type StepProbabilities, unknownToken } from '../diffusion/sampler-maskgit.ts';
import { imageCodes, imageTokens, layoutOf } from '../model/config.ts';
import type { LoadedModel } from '../model/source.ts';
import { t2iPrefix } from '../prompt/sequences.ts';
import { type ImageIds, imageIds, type SpecialTokens } from '../prompt/special-tokens.ts';
import { type GraphCache, needed } from './graph-cache.ts';
import { PromptCache, type ReadPrompt } from './prompt-cache.ts';
import { type BatchItem, padded, StepBatcher } from './step-batcher.ts';

// R rows of a run, N image positions, G codes of a position, V codes of a group

/** Rows of one run of the denoising network. */
const rowBudget = 8;

interface DenoiseRow {
  prompt: ReadPrompt;
  image: ImageIds;
  /** Share of masked codes. */
  ratio: number;
}

interface DenoiseItem extends BatchItem {
  /** One for each image, then, in a guided step, its unconditional branch. */
  row: readonly DenoiseRow[];
  images: number;
  /** Scale of guidance; 0 where there are no unconditional rows. */
  scale: number;
}

/** What the router of a layer did for one image. */
export interface ExpertRouting {
  /** From 0. */
  layer: number;
  /** Token level: each position has its experts. Sequence level: all positions share them. */
  level: 'token' | 'sequence';
  /** E names: "expert 3", or what a sequence-level expert is: "copy", "noise". */
  experts: string[];
  /** Gate weights, 0 where an expert did not fire: [E, N] row by row, [E] at sequence level. */
  weights: Float32Array;
}

/** Denoising steps of all requests, in shared runs on kept prompts. */
export class Denoising {
  readonly #model: LoadedModel;
  readonly #graphs: GraphCache;
  readonly #states: States;
  readonly #prompts: PromptCache;
  readonly #batcher = new StepBatcher<DenoiseItem, Float32Array>(rowBudget, (items) => this.#run(items));

  constructor(model: LoadedModel, graphs: GraphCache, states: States) {
    this.#model = model;
    this.#graphs = graphs;
    this.#states = states;
    this.#prompts = new PromptCache(model, graphs, states);
  }

  /**
   * The network behind the prompt of each image, guided by the unconditional branch in the first `guided.steps` steps; `release`
   * gives the prompts back.
   */
  async open(
    prompts: readonly string[],
    guided: { steps: number; scale: number },
    signal?: AbortSignal,
  ): Promise<{ network: StepProbabilities; release: () => void }> {
    const { config, tokenizer } = this.#model;
    const layout = layoutOf(config);
    const texts = new Map(prompts.map((prompt) => [prompt, tokenizer.encode(prompt)]));
    const prefixes = (guided.steps > 0 ? [false, true] : [false]).flatMap((dropped) =>
      prompts.map((prompt) => t2iPrefix(layout, texts.get(prompt)!, config.promptTokens, dropped)),
    );
    // conditional rows, then unconditional ones
    const branches = await this.#all(prefixes);
    const network: StepProbabilities = (state, step) => {
      const scale = step < guided.steps ? guided.scale : 0;
      const images = state.map((codes, i) => rowOf(layout, codes, branches[i]!.prompt));
      const unconditional = branches.slice(images.length).map(({ prompt }, i) => ({ ...images[i]!, prompt }));
      const row = scale > 0 ? [...images, ...unconditional] : images;
      return this.#batcher.submit({ rows: row.length, kind: 'denoise', row, images: images.length, scale }, signal);
    };
    return {
      network,
      release: () => {
        for (const { release } of branches) release();
      },
    };
  }

  async #all(prefixes: readonly number[][]) {
    const opened = await Promise.allSettled(prefixes.map((ids) => this.#prompts.use(ids)));
    const failed = opened.find((result) => result.status === 'rejected');
    if (!failed) return opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    for (const result of opened) if (result.status === 'fulfilled') result.value.release();
    throw failed.reason;
  }

  /** Probabilities [images·N·G·V] of each item. */
  async #run(items: readonly DenoiseItem[]): Promise<Float32Array[]> {
    const { config } = this.#model;
    const rows = padded(items.flatMap(({ row }) => row));
    const guidance = new Float32Array(rows.length);
    const unconditional = Int32Array.from(rows.keys());
    const firsts: number[] = [];
    let at = 0;
    for (const { row, images, scale } of items) {
      firsts.push(at);
      if (scale > 0) {
        guidance.fill(scale, at, at + images);
        for (let i = at; i < at + images; i++) unconditional[i] = i + images;
      }
      at += row.length;
    }
    const { probabilities } = await this.#states.run(await this.#graphs.get('denoise', rows.length), {
      feeds: {
        ...this.#feeds(rows),
        guidance: float32(guidance, [rows.length]),
        unconditional: int32(unconditional, [rows.length]),
      },
      rows: rows.map(({ prompt }) => prompt.state.id),
      writes: [],
      fetches: ['probabilities'],
    });
    const size = imageCodes(config) * layoutOf(config).codes;
    return items.map(({ images }, i) =>
      (probabilities!.data as Float32Array).subarray(firsts[i]! * size, (firsts[i]! + images) * size),
    );
  }

  #feeds(rows: readonly DenoiseRow[]): TensorValues {
    const { config } = this.#model;
    const layout = layoutOf(config);
    const [length, kept] = [imageTokens(config) + 2, config.promptTokens + 1];
    const mask = new Float32Array(rows.length * (kept + length));
    rows.forEach(({ prompt }, i) => {
      mask.set(prompt.mask, i * (kept + length));
    });
    return {
      ids: int32(
        rows.flatMap(({ image }) => [layout.soi, ...image.first, layout.eoi]),
        [rows.length, length],
      ),
      ...otherCodes(rows.map(({ image }) => image)),
      mask: float32(mask, [rows.length, 1, 1, kept + length]),
      positions: int32(
        Array.from({ length }, (_, i) => kept + i),
        [length],
      ),
      ratio: float32(
        Float32Array.from(rows, ({ ratio }) => ratio),
        [rows.length],
      ),
    };
  }

  /** Which experts fire for an image [N·G] as it stands in one step. @throws RangeError for a model without experts. */
  async routing(text: string, codes: Int32Array): Promise<ExpertRouting[]> {
    const { config, tokenizer } = this.#model;
    const layout = layoutOf(config);
    if (codes.length !== imageCodes(config))
      throw new RangeError(`routing: tokens: expected ${imageCodes(config)} codes, got ${codes.length}`);
    const session = await this.#graphs.get('routing');
    const { prompt, release } = await this.#prompts.use(t2iPrefix(layout, tokenizer.encode(text), config.promptTokens));
    try {
      const feeds = needed(session, this.#feeds([rowOf(layout, codes, prompt)]));
      const rows = [prompt.state.id];
      const gates = await this.#states.run(session, { feeds, rows, writes: [], fetches: session.outputNames });
      return Object.entries(gates).map(([name, { shape, data }]) => {
        const level = name.startsWith('token') ? 'token' : 'sequence';
        const experts =
          level === 'sequence'
            ? [...config.backbone.sequenceMoe!.t2i]
            : Array.from({ length: shape[0]! }, (_, expert) => `expert ${expert}`);
        return { layer: Number(name.slice(level.length)), level, experts, weights: data as Float32Array };
      });
    } finally {
      release();
    }
  }
}

function rowOf(layout: SpecialTokens, codes: Int32Array, prompt: ReadPrompt): DenoiseRow {
  const masked = codes.filter((code) => code === unknownToken).length;
  return { prompt, image: imageIds(layout, codes), ratio: masked / codes.length };
}

/** Feed of the codes behind the first of each position; none where there is one. */
export function otherCodes(images: readonly ImageIds[]) {
  const others = images.flatMap((image) => image.others);
  return others.length > 0 ? { others: int32(others, [images.length, others.length / images.length]) } : {};
}
