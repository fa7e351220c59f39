import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  encodePng,
  generationText,
  imageGrid,
  type LoadedModel,
  type LookedAt,
  type ModelConfig,
  type PixelImage,
  resize,
  type TextTokenizer,
  UniF2ace,
} from '@unif2ace/core';
import { decodeImage, writeFileAtomic } from '@unif2ace/core/node';
import { Philox, type Runtime } from '@unif2ace/graph';
import type { FaceRecord } from '../../data/celeba.ts';
import { questionsAbout } from '../../data/grammar/questions.ts';
import { describeError } from '../describe-error.ts';
import type { OnTrainEvent, SampledAnswer } from '../events.ts';

export interface SampleOptions {
  /** Seconds between samples. Default 120; more where samples would take over 2 % of the time. */
  everySeconds?: number;
  /** Steps between samples, whatever they cost. Default: by time. */
  everySteps?: number;
  /** A row of faces each. Default: four. */
  prompts?: readonly string[];
  /** Default 4. */
  facesPerPrompt?: number;
  /** Asked about every face. Default: the grammar's on gender, smile and eyeglasses, whose right answer the labels tell. */
  questions?: readonly string[];
  /** Validation faces that questions are asked about, the first of the data set. Default 3; 0 asks none. */
  faces?: number;
  /** Default 0. */
  seed?: number;
}

const defaultPrompts = [
  'a smiling woman with blond hair',
  'a man with a beard',
  'a young woman with black hair and bangs',
  'an older man wearing eyeglasses',
];
const defaultTopics = ['gender', 'Smiling', 'Eyeglasses'];
const steps = 12;
/** Of the training time, when samples come by time. */
const maxShare = 0.02;
const shownPixels = 64;

interface Asked {
  record: FaceRecord;
  image: PixelImage;
  questions: { question: string; expected?: string }[];
}

export interface SampleContext {
  stage: string;
  folder: string;
  config: ModelConfig;
  tokenizer: TextTokenizer;
  /** All parameters but those that the stage trains. */
  fixed: ReadonlyMap<string, Float32Array>;
  validation: readonly FaceRecord[];
  runtime: Runtime;
  onEvent: OnTrainEvent;
}

/**
 * Generates faces and answers with the average weights while a backbone is trained: fixed prompts, faces, questions and
 * seed, the settings of inference. It reads the weights and draws from generators of its own, so training is the same with
 * and without it.
 */
export class Samples {
  readonly #options: SampleOptions & { seed: number; prompts: readonly string[]; facesPerPrompt: number };
  readonly #context: SampleContext;
  #asked: Promise<Asked[]> | undefined;
  #dueMs: number;
  #failed = false;

  constructor(options: SampleOptions, context: SampleContext) {
    this.#options = { seed: 0, prompts: defaultPrompts, facesPerPrompt: 4, ...options };
    this.#context = context;
    this.#dueMs = performance.now() + 1000 * (options.everySeconds ?? 120);
  }

  #isDue(step: number, isLast: boolean): boolean {
    if (this.#failed) return false;
    const { everySteps } = this.#options;
    return isLast || (everySteps === undefined ? performance.now() >= this.#dueMs : step % everySteps === 0);
  }

  /** After each step. A sample that fails is told and ends sampling, never training. @param trained by name. */
  async stepDone(step: number, trained: () => ReadonlyMap<string, Float32Array>, isLast: boolean): Promise<void> {
    if (!this.#isDue(step, isLast)) return;
    const startMs = performance.now();
    try {
      await this.#take(step, trained());
    } catch (error) {
      this.#failed = true;
      this.#context.onEvent({ kind: 'log', text: `samples: no more are taken: ${describeError(error)}` });
    }
    const costMs = performance.now() - startMs;
    this.#dueMs = performance.now() + Math.max(1000 * (this.#options.everySeconds ?? 120), costMs / maxShare);
  }

  async #take(step: number, trained: ReadonlyMap<string, Float32Array>): Promise<void> {
    const { config, tokenizer, fixed, runtime, folder, stage, onEvent } = this.#context;
    const weights = new Map([...fixed, ...trained]);
    const model: LoadedModel = { config, tokenizer, weights, hash: hashOf(trained) };
    // threads that spin would slow the session of the training; keys and values go with the model, not with the runtime
    const { states: _, ...stateless } = runtime;
    const quiet: Runtime = {
      ...stateless,
      createSession: (graph, options) => runtime.createSession(graph, { ...options, allowSpinning: false }),
    };
    const unif2ace = new UniF2ace(model, quiet);
    const settings = { steps, guidance: config.guidance, weights: 'average' } as const;
    try {
      const { prompts, facesPerPrompt, seed } = this.#options;
      const faces: PixelImage[] = [];
      for (const prompt of prompts) faces.push(...(await generated(unif2ace, prompt, facesPerPrompt, seed)));
      if (faces.length > 0) {
        const name = `${stage.replaceAll(' ', '-')}-step-${String(step).padStart(8, '0')}.png`;
        const shown = Math.max(shownPixels, config.imageSize);
        const grid = imageGrid(
          faces.map((face) => (face.width === shown ? face : resize(face, shown, shown))),
          { columns: facesPerPrompt },
        );
        const stamp = generationText({
          prompt: prompts.join('; '),
          seed,
          settings: { ...settings, stage, step, facesPerPrompt },
          modelHash: model.hash,
        });
        await mkdir(join(folder, 'samples'), { recursive: true });
        await writeFileAtomic(join(folder, 'samples', name), encodePng(grid, stamp));
        onEvent({ kind: 'samples', stage, step, file: `samples/${name}`, prompts, facesPerPrompt, seed, settings });
      }
      const answers = await this.#answers(unif2ace);
      if (answers.length > 0) onEvent({ kind: 'answers', stage, step, answers });
    } finally {
      await unif2ace.close();
    }
  }

  async #answers(model: UniF2ace): Promise<SampledAnswer[]> {
    this.#asked ??= this.#prepare();
    const answers: SampledAnswer[] = [];
    for (const { record, image, questions } of await this.#asked) {
      const looked = await model.look(image);
      for (const asked of questions)
        answers.push({ face: record.id, ...asked, answer: await answered(model, looked, asked.question) });
    }
    return answers;
  }

  async #prepare(): Promise<Asked[]> {
    const { faces = 3, questions, seed } = this.#options;
    return Promise.all(
      this.#context.validation.slice(0, faces).map(async (record) => ({
        record,
        image: await decodeImage(record.path),
        questions:
          questions?.map((question) => ({ question })) ??
          questionsAbout(record.attributes, new Philox(seed))
            .filter(({ topic }) => defaultTopics.includes(topic))
            .map(({ question, answer }) => ({ question, expected: answer })),
      })),
    );
  }
}

async function generated(model: UniF2ace, prompt: string, count: number, seed: number): Promise<PixelImage[]> {
  const running = model.generate(prompt, { count, steps, seed });
  for (;;) {
    const { value, done } = await running.next();
    if (done) return value;
  }
}

async function answered(model: UniF2ace, looked: LookedAt, question: string): Promise<string> {
  const running = model.ask(looked, question);
  for (;;) {
    const { value, done } = await running.next();
    if (done) return value.trim();
  }
}

function hashOf(weights: ReadonlyMap<string, Float32Array>): string {
  const hash = createHash('sha256');
  for (const [name, data] of weights)
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest('hex');
}
