import { float32, int32, LocalStates, Philox, type Runtime, type TensorValues } from '@unif2ace/graph';
import { type FaceInPhoto, faceView } from './detection/align.ts';
import { type MaskgitOptions, philoxDraws, sampleMaskgit, unknownToken } from './diffusion/sampler-maskgit.ts';
import { blendTokens, type EditRegion, regionTokens } from './edit/region.ts';
import { Answering } from './engine/answering.ts';
import { Denoising, type ExpertRouting } from './engine/denoising.ts';
import { GraphCache, type Precision } from './engine/graph-cache.ts';
import { KeptState } from './engine/kept-state.ts';
import { padded } from './engine/step-batcher.ts';
import { fromChannelsFirst, type PixelImage, toChannelsFirst } from './image/pixels.ts';
import { type LoadOptions, type ModelReference, open, predict } from './load.ts';
import { imageCodes, layoutOf, type ModelConfig, tokenGrid } from './model/config.ts';
import type { LoadedModel } from './model/source.ts';
import type { SpecialTokens } from './prompt/special-tokens.ts';
import { type DecodingOptions, generateText } from './text/decoding.ts';

export interface GenerateOptions {
  /** Faces to make. Default 1. */
  count?: number;
  /** Index of the first: a later face of a larger request is made alone. Default 0. */
  first?: number;
  /** Denoising steps; more is finer and slower in proportion. Default 12. */
  steps?: number;
  /**
   * How much further than it has learnt the model goes after the words (w of (1 + w)·cond − w·uncond), in the model's
   * `guidedShare` of the steps; 0 is as learnt, and quicker. Default: the model's own.
   */
  guidance?: number;
  /**
   * Faces made for each one that is returned: the one is kept that the model itself, looking at them, finds the words likeliest of.
   * Follows the words better; four take about six times as long as one. 1 to 16, default 1, the first being what it would be alone.
   */
  candidates?: number;
  /** Variety of the order in which tokens settle, in units of the model's `confidenceTemperature`; 0 keeps the most confident. Default 1. */
  temperature?: number;
  /** Image i depends on (seed, i) alone. Default 0. */
  seed?: number;
  signal?: AbortSignal;
}

export interface EditOptions extends GenerateOptions {
  /** What is made anew; the rest of the face is kept. */
  region: EditRegion;
}

export interface GenerateStep {
  step: number;
  steps: number;
  /** Which image of the request each row is of, from 0; candidates are of the same one. */
  images: readonly number[];
  /** Codes so far of each row, `codeGroups` a position; −1 where still masked. */
  tokens: readonly Int32Array[];
  /** The same with what the model takes the masked ones for: what a preview shows. */
  guesses: readonly Int32Array[];
}

export interface AnswerOptions extends DecodingOptions {
  /** Default: as many as the model was made for. */
  maxTokens?: number;
  /** Used when temperature is above 0. Default 0. */
  seed?: number;
  signal?: AbortSignal;
}

/**
 * A face to look at: a bare picture counts as aligned (CelebA's frame, or a square cut like it) and is cropped to the centre;
 * a photo with landmarks (what `findFace` returns) is aligned by them.
 */
export type FaceInput = PixelImage | FaceInPhoto;

/** Question that the model was trained to answer with a caption. */
export const describeQuestion = 'Describe the face.';

/** Wording around a question (paper §3.3). */
export function questionPrompt(question: string): string {
  return `USER: ${question} ASSISTANT:`;
}

/** Images of one request that are denoised together; larger counts are made in parts. */
const imagesPerBatch = 4;

/**
 * UniF²ace: generates faces from words, describes faces and answers questions about them.
 * Graphs are built when first needed and kept; `close` frees them. Calls may run at the same time: their steps share runs of the
 * network, and each gives what it gives alone.
 */
export class UniF2ace {
  readonly config: ModelConfig;
  readonly hash: string;
  readonly #model: LoadedModel;
  readonly #runtime: Runtime;
  readonly #layout: SpecialTokens;
  readonly #textIds: number[];
  readonly #graphs: GraphCache;
  readonly #denoising: Denoising;
  readonly #answering: Answering;
  readonly #ownsRuntime: boolean;

  /**
   * Loads a model: `await UniF2ace.load('pico')`. In Node a bundled name or a folder, in the browser an address.
   * @throws ModelError, SafetensorsError, DeviceError, RangeError naming an option out of range, the signal's reason.
   */
  static async load(model: ModelReference, options: LoadOptions = {}): Promise<UniF2ace> {
    const opened = await open(model, options);
    return new UniF2ace(opened.model, opened.runtime, opened.ownsRuntime, opened.precision);
  }

  /** What loading would take, before it: bytes to download and kept ones, in Node none, and about how much memory in the browser. */
  static predict: typeof predict = (model, options) => predict(model, options);

  /** With `ownsRuntime`, `close` closes the runtime too. */
  constructor(model: LoadedModel, runtime: Runtime, ownsRuntime = false, precision: Precision = 'fp32') {
    this.#ownsRuntime = ownsRuntime;
    this.config = model.config;
    this.hash = model.hash;
    this.#model = model;
    this.#runtime = runtime;
    this.#layout = layoutOf(model.config);
    const states = runtime.states ?? new LocalStates();
    this.#graphs = new GraphCache(model, runtime, precision);
    this.#denoising = new Denoising(model, this.#graphs, states);
    this.#answering = new Answering(model, this.#graphs, states);
    this.#textIds = Array.from({ length: model.config.textVocabSize }, (_, id) => id);
  }

  get device(): string {
    return this.#runtime.device;
  }

  /** Parameters by part, for inspection. */
  parameterCounts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const [name, data] of this.#model.weights) {
      const part = name.split('.')[0]!;
      counts[part] = (counts[part] ?? 0) + data.length;
    }
    return counts;
  }

  async close(): Promise<void> {
    await this.#graphs.close();
    if (this.#ownsRuntime) await this.#runtime.close();
  }

  /** `await using model = await UniF2ace.load('pico')`, where the language has it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Makes faces from words. Yields after every denoising step; returns the images.
   * @throws RangeError naming an option out of range.
   */
  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<GenerateStep, PixelImage[]> {
    return yield* this.#generate(repeated(prompt, options.count), this.#allMasked(), options);
  }

  /**
   * Makes one face for each of many prompts, however many, several at a time. Yields after every denoising step of each
   * batch; returns the images. Image i depends on (prompts[i], seed, i) alone.
   * @throws RangeError naming an option out of range.
   */
  async *generateEach(
    prompts: readonly string[],
    options: Omit<GenerateOptions, 'count'> = {},
  ): AsyncGenerator<GenerateStep, PixelImage[]> {
    return yield* this.#generate(prompts, this.#allMasked(), options);
  }

  #allMasked(): Int32Array {
    return new Int32Array(imageCodes(this.config)).fill(unknownToken);
  }

  /**
   * Makes a part of a face anew after the words. Tokens outside of the region are kept and the pixels of the aligned face with
   * them, but for a soft border. Yields after every denoising step; returns the aligned faces, `imageSize` pixels a side.
   * @throws RangeError naming an option out of range, ImageError for a region that misses the face.
   */
  async *edit(face: FaceInput, prompt: string, options: EditOptions): AsyncGenerator<GenerateStep, PixelImage[]> {
    const grid = tokenGrid(this.config);
    const chosen = regionTokens(face, options.region, grid);
    const [codes] = await this.encode([face]);
    const { codeGroups } = this.#layout;
    const start = codes!.map((code, i) => (chosen[Math.floor(i / codeGroups)] ? unknownToken : code));
    const made = yield* this.#generate(repeated(prompt, options.count), start, options);
    const kept = faceView(face, this.config.imageSize);
    return made.map((image) => blendTokens(kept, image, chosen, grid));
  }

  async *#generate(
    prompts: readonly string[],
    start: Int32Array,
    options: GenerateOptions,
  ): AsyncGenerator<GenerateStep, PixelImage[]> {
    const { steps = 12, guidance = this.config.guidance, temperature = 1, seed = 0, first = 0, signal } = options;
    const { candidates = 1 } = options;
    const check = (ok: boolean, what: string, expected: string, got: unknown) => {
      if (!ok) throw new RangeError(`generate: ${what}: expected ${expected}, got ${got}`);
    };
    check(Number.isInteger(steps) && steps >= 1 && steps <= 1024, 'steps', 'a whole number from 1 to 1,024', steps);
    check(guidance >= 0 && guidance <= 100, 'guidance', 'a number from 0 to 100', guidance);
    check(temperature >= 0 && temperature <= 100, 'temperature', 'a number from 0 to 100', temperature);
    check(Number.isSafeInteger(seed) && seed >= 0, 'seed', 'a whole number from 0 to 2^53 − 1', seed);
    check(Number.isInteger(first) && first >= 0 && first < 2 ** 31, 'first', 'a whole number from 0', first);
    const mostCandidates = 16;
    check(
      Number.isInteger(candidates) && candidates >= 1 && candidates <= mostCandidates,
      'candidates',
      `a whole number from 1 to ${mostCandidates}`,
      candidates,
    );
    const best: { image: PixelImage; fit: number }[] = [];
    const rows = prompts.length * candidates;
    for (let done = 0; done < rows; done += imagesPerBatch) {
      const chosen = Array.from({ length: Math.min(imagesPerBatch, rows - done) }, (_, i) => ({
        image: Math.floor((done + i) / candidates),
        candidate: (done + i) % candidates,
      }));
      const words = chosen.map(({ image }) => prompts[image]!);
      const randoms = chosen.map(
        ({ image, candidate }) => new Philox(seed, first + image, ...(candidate > 0 ? [candidate] : [])),
      );
      const indices = chosen.map(({ image }) => image);
      const sampling = {
        steps,
        guidance,
        temperature: temperature * this.config.confidenceTemperature,
        codeGroups: this.#layout.codeGroups,
      };
      const codes = yield* this.#sample(indices, words, start, randoms, sampling, signal);
      const made = await this.decode(codes);
      const fits = candidates > 1 ? await this.#fits(words, codes, made, signal) : made.map(() => 0);
      indices.forEach((image, row) => {
        const fit = fits[row]!;
        if (best[image] === undefined || fit > best[image].fit) best[image] = { image: made[row]!, fit };
      });
    }
    return best.map(({ image }) => image);
  }

  /** Log-likelihood of each row's words, as many as the model reads, when it looks at the row's face. */
  #fits(
    words: readonly string[],
    codes: readonly Int32Array[],
    faces: readonly PixelImage[],
    signal: AbortSignal | undefined,
  ): Promise<number[]> {
    const question = this.#asked(describeQuestion);
    const room = this.config.answerTokens - question.length;
    return Promise.all(
      faces.map(async (face, row) => {
        const answer = this.#model.tokenizer.encode(` ${words[row]}`).slice(0, room);
        const state = await this.#answering.look(codes[row]!, await this.features([face]));
        try {
          return await this.#answering.logLikelihood(state, question, answer, signal);
        } finally {
          state.free();
        }
      }),
    );
  }

  async *#sample(
    images: readonly number[],
    prompts: readonly string[],
    from: Int32Array,
    randoms: Philox[],
    { guidance, ...options }: MaskgitOptions & { guidance: number },
    signal: AbortSignal | undefined,
  ): AsyncGenerator<GenerateStep, Int32Array[]> {
    const start = randoms.map(() => from.slice());
    const draws = philoxDraws(randoms, imageCodes(this.config));
    const guidedSteps = guidance > 0 ? Math.ceil(options.steps * this.config.guidedShare) : 0;
    const guided = { steps: guidedSteps, scale: guidance };
    const { network, release } = await this.#denoising.open(prompts, guided, signal);
    try {
      let last: Int32Array[] = start;
      for await (const step of sampleMaskgit(start, this.#layout.codes, network, draws, options)) {
        signal?.throwIfAborted();
        last = step.sampled;
        yield { step: step.step + 1, steps: options.steps, images, tokens: step.tokens, guesses: step.sampled };
      }
      return last;
    } finally {
      release();
    }
  }

  /**
   * Which experts fire for an image in one step of its generation: `tokens` of that step, as `generate` yields them. One run of the
   * network without guidance. @throws RangeError for tokens of another size, or a model without experts.
   */
  routing(prompt: string, tokens: Int32Array): Promise<ExpertRouting[]> {
    return this.#denoising.routing(prompt, tokens);
  }

  /** Image codes of faces: [N·G] each, the G codes of a position one after the other. @throws FaceError when the landmarks of one coincide. */
  async encode(faces: readonly FaceInput[]): Promise<Int32Array[]> {
    const rows = padded(faces);
    const session = await this.#graphs.get('tokenize', rows.length);
    const { codes } = await session.run({ pixels: pixelsOf(rows, this.config.imageSize) });
    const count = imageCodes(this.config);
    return faces.map((_, i) => (codes!.data as Int32Array).slice(i * count, (i + 1) * count));
  }

  /** Images of codes. */
  async decode(codes: readonly Int32Array[]): Promise<PixelImage[]> {
    const rows = padded(codes);
    const flat = int32(
      rows.flatMap((row) => [...row]),
      [rows.length, imageCodes(this.config)],
    );
    const { pixels } = await (await this.#graphs.get('detokenize', rows.length)).run({ codes: flat });
    const { imageSize } = this.config;
    const size = 3 * imageSize * imageSize;
    return codes.map((_, i) =>
      fromChannelsFirst((pixels!.data as Float32Array).subarray(i * size, (i + 1) * size), imageSize, imageSize),
    );
  }

  /** A face as the tokenizer sees it: encoded to codes and decoded again. */
  async reconstruct(face: FaceInput): Promise<PixelImage> {
    const [image] = await this.decode(await this.encode([face]));
    return image!;
  }

  /** What the frozen encoders say of faces: `face` [B, M, F] and `clip` [B, P, C]. Nothing of it is kept. */
  async features(faces: readonly FaceInput[]): Promise<TensorValues> {
    const session = await this.#graphs.get('feature', faces.length);
    return session.run({ pixels: pixelsOf(faces, this.config.faceEncoder.imageSize) });
  }

  /** Features, codes, keys and values of a face, computed once for any number of questions; `free` it after the last. */
  async look(face: FaceInput): Promise<LookedAt> {
    const [codes] = await this.encode([face]);
    return this.#answering.look(codes!, await this.features([face]));
  }

  /** Tokens of a question. */
  #asked(question: string): number[] {
    return [this.#layout.sot, ...this.#model.tokenizer.encode(questionPrompt(question))];
  }

  /** A state to read on from; whoever asked for it frees it. */
  async #ownState(face: FaceInput | LookedAt): Promise<KeptState> {
    return face instanceof KeptState ? face.clone() : this.look(face);
  }

  /**
   * Answers a question about a face; yields pieces of text as they come, returns the whole answer.
   * @throws RangeError when the question is longer than the model can take.
   */
  async *ask(
    face: FaceInput | LookedAt,
    question: string,
    options: AnswerOptions = {},
  ): AsyncGenerator<string, string> {
    const { seed = 0, signal, temperature = 0, maxTokens, ...decoding } = options;
    const { tokenizer } = this.#model;
    const asked = this.#asked(question);
    const room = this.config.answerTokens - asked.length;
    if (room < 2)
      throw new RangeError(
        `ask: question: expected at most ${this.config.answerTokens - 3} tokens, got ${asked.length - 1}; try fewer words`,
      );
    signal?.throwIfAborted();
    const state = await this.#ownState(face);
    const random = new Philox(seed);
    const read = (ids: readonly number[]) => this.#answering.read(state, ids, signal);
    const tokens = generateText(
      { prefill: () => read(asked), step: (token) => read([token]) },
      {
        ...decoding,
        temperature,
        maxTokens: Math.min(maxTokens ?? room, room),
        uniform: () => random.uniform(),
        stopIds: [this.#layout.eot],
        // marks and image codes are no words
        allowedIds: this.#textIds,
        ...(signal && { signal }),
      },
    );
    const answer: number[] = [];
    let text = '';
    try {
      for await (const token of tokens) {
        answer.push(token);
        const whole = tokenizer.decode(answer).trimStart();
        // an unfinished character shows as the replacement mark: wait for the rest of it
        if (whole.endsWith('\uFFFD') || whole.length <= text.length) continue;
        yield whole.slice(text.length);
        text = whole;
      }
    } finally {
      state.free();
    }
    return text;
  }

  /**
   * How likely the model finds words as a description of a face, in nats: comparable between faces, for the same words.
   * @throws RangeError when they are longer than the model can take.
   */
  async logLikelihood(
    face: FaceInput | LookedAt,
    words: string,
    options: { signal?: AbortSignal } = {},
  ): Promise<number> {
    const { tokenizer } = this.#model;
    const asked = this.#asked(describeQuestion);
    const answer = [...tokenizer.encode(` ${words}`), this.#layout.eot];
    const room = this.config.answerTokens - asked.length;
    if (answer.length > room)
      throw new RangeError(
        `logLikelihood: words: expected at most ${room - 1} tokens, got ${answer.length - 1}; try fewer`,
      );
    options.signal?.throwIfAborted();
    const state = await this.#ownState(face);
    try {
      options.signal?.throwIfAborted();
      return await this.#answering.logLikelihood(state, asked, answer, options.signal);
    } finally {
      state.free();
    }
  }

  /** A description of the face. */
  describe(face: FaceInput | LookedAt, options: AnswerOptions = {}): AsyncGenerator<string, string> {
    return this.ask(face, describeQuestion, options);
  }
}

/** What has been computed of a face. */
export type LookedAt = KeptState;

/** The prompt of each image. @throws RangeError for a count out of range. */
function repeated(prompt: string, count = 1): string[] {
  if (!Number.isInteger(count) || count < 1 || count > 1024)
    throw new RangeError(`generate: count: expected a whole number from 1 to 1,024, got ${count}`);
  return new Array<string>(count).fill(prompt);
}

function pixelsOf(faces: readonly FaceInput[], size: number) {
  const data = new Float32Array(faces.length * 3 * size * size);
  faces.forEach((face, i) => {
    toChannelsFirst(faceView(face, size), data.subarray(i * 3 * size * size, (i + 1) * 3 * size * size));
  });
  return float32(data, [faces.length, 3, size, size]);
}
