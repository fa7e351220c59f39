import { float32, int32, type States } from '@unif2ace/graph';
import { type CodeLogits, unknownToken } from '../diffusion/sampler-maskgit.ts';
import { imageCodes, imageTokens, layoutOf } from '../model/config.ts';
import type { LoadedModel } from '../model/source.ts';
import { t2iPrefix } from '../prompt/sequences.ts';
import { type ImageIds, imageIds } from '../prompt/special-tokens.ts';
import type { GraphCache } from './graph-cache.ts';
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
  row: readonly DenoiseRow[];
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

  /** The network behind the prompt of each image; `release` gives the prompts back. */
  async open(
    prompts: readonly string[],
    guided: boolean,
    signal?: AbortSignal,
  ): Promise<{ logits: CodeLogits; release: () => void }> {
    const { config, tokenizer } = this.#model;
    const layout = layoutOf(config);
    const texts = new Map(prompts.map((prompt) => [prompt, tokenizer.encode(prompt)]));
    const prefixes = (guided ? [false, true] : [false]).flatMap((dropped) =>
      prompts.map((prompt) => t2iPrefix(layout, texts.get(prompt)!, config.promptTokens, dropped)),
    );
    // conditional rows, then unconditional ones
    const branches = await this.#all(prefixes);
    const logits: CodeLogits = async (state) => {
      const images = state.map((codes) => ({
        image: imageIds(layout, codes),
        ratio: codes.filter((code) => code === unknownToken).length / codes.length,
      }));
      const row = branches.map(({ prompt }, i) => ({ ...images[i % images.length]!, prompt }));
      const data = await this.#batcher.submit({ rows: row.length, kind: 'denoise', row }, signal);
      const half = (data.length / row.length) * state.length;
      return { conditional: data.subarray(0, half), ...(guided && { unconditional: data.subarray(half) }) };
    };
    return {
      logits,
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

  /** Logits [rows·N·G·V] of each item. */
  async #run(items: readonly DenoiseItem[]): Promise<Float32Array[]> {
    const { config } = this.#model;
    const layout = layoutOf(config);
    const [length, kept] = [imageTokens(config) + 2, config.promptTokens + 1];
    const rows = padded(items.flatMap(({ row }) => row));
    const mask = new Float32Array(rows.length * (kept + length));
    rows.forEach(({ prompt }, i) => {
      mask.set(prompt.mask, i * (kept + length));
    });
    const session = await this.#graphs.get('denoise', rows.length);
    const { logits } = await this.#states.run(session, {
      feeds: {
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
      },
      rows: rows.map(({ prompt }) => prompt.state.id),
      writes: [],
      fetches: ['logits'],
    });
    const size = imageCodes(config) * layout.codes;
    let at = 0;
    return items.map(({ row }) => {
      const part = (logits!.data as Float32Array).subarray(at * size, (at + row.length) * size);
      at += row.length;
      return part;
    });
  }
}

/** Feed of the codes behind the first of each position; none where there is one. */
export function otherCodes(images: readonly ImageIds[]) {
  const others = images.flatMap((image) => image.others);
  return others.length > 0 ? { others: int32(others, [images.length, others.length / images.length]) } : {};
}
