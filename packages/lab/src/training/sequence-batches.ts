import {
  additiveMask,
  describeQuestion,
  drawMask,
  drawMaskCount,
  type ImageIds,
  ignoreLabel,
  imageCodes,
  imageIds,
  imageTokens,
  layoutOf,
  type ModelConfig,
  packedAnswers,
  packedVisibility,
  questionPrompt,
  type SpecialTokens,
  type TextTokenizer,
  type Turn,
  t2iSequence,
  t2iVisibility,
  tokenWeight,
  unknownToken,
} from '@unif2ace/core';
import { float32, int32, type Philox, type TensorValues } from '@unif2ace/graph';
import type { Attributes, StatedAttributes } from '../data/grammar/attributes.ts';
import { captionFace, listCaption, promptCaption, promptLength } from '../data/grammar/caption.ts';
import { type Question, QuestionBank } from '../data/grammar/questions.ts';
import type { EncodedFaces } from './encode-faces.ts';
import { TrainError } from './events.ts';
import { exampleRandom, FaceOrder } from './face-order.ts';
import type { BatchPlace } from './loop.ts';
import { contraryText, PromptBank } from './prompt-bank.ts';
import type { ModelStage } from './recipe.ts';

/** Room of the texts about one face: a caption, then the questions. */
export function answerSlots(
  config: Pick<ModelConfig, 'answerTokens'>,
  stage: Pick<ModelStage, 'questionsPerFace' | 'questionTokens'>,
): number[] {
  return [config.answerTokens, ...new Array<number>(stage.questionsPerFace).fill(stage.questionTokens)];
}

/**
 * Loss weights of one face's texts, 1 in all: the caption has one half, the questions share the other. In an answer the first token, which decides it, counts as much as all that follow: those hardly depend on the face.
 */
export function answerWeights(labels: readonly number[], slots: readonly number[]): number[] {
  let start = 0;
  return slots.flatMap((room, slot) => {
    const counted = labels.slice(start, start + room).map((label) => label !== ignoreLabel);
    start += room;
    const first = counted.indexOf(true);
    const count = counted.filter(Boolean).length;
    if (slot === 0) return counted.map((counts) => ((slots.length > 1 ? captionShare : 1) * Number(counts)) / count);
    const share = (1 - captionShare) / (slots.length - 1);
    return counted.map((counts, i) => (counts ? (share / 2) * (i === first ? 1 : 1 / (count - 1)) : 0));
  });
}

/** Parts of the training between the first and the last balance of answers. */
const balanceSteps = 8;
const captionShare = 0.5;
/** Of the two tasks' examples. */
const streams = { t2i: 3, mmu: 5 } as const;
const maxCachedTexts = 20_000;

/** Sequence with the loss weight of each target. */
interface Row {
  ids: number[];
  targets: number[];
  weights: number[];
}

/** One of images to be drawn, masked in part. */
interface ImageRow extends Row {
  scoreWeights: number[];
  image: ImageIds;
  /** Share of masked codes. */
  ratio: number;
}

/** Draws training batches of both tasks from encoded faces, their labels and the grammar. */
export class SequenceBatches {
  readonly #config: ModelConfig;
  readonly #layout: SpecialTokens;
  readonly #tokenizer: TextTokenizer;
  readonly #faces: EncodedFaces;
  readonly #labels: readonly Attributes[];
  /** For each part of the training, in order. */
  readonly #banks: readonly QuestionBank[];
  readonly #prompts: PromptBank | undefined;
  readonly #stage: ModelStage;
  readonly #seed: number;
  readonly #order: FaceOrder;
  readonly #answerOrder: FaceOrder;
  readonly #masks = new Map<number, Float32Array>();
  #mmuMask: Float32Array | undefined;
  readonly #encoded = new Map<string, number[]>();

  constructor(
    config: ModelConfig,
    tokenizer: TextTokenizer,
    faces: EncodedFaces,
    labels: readonly Attributes[],
    stage: ModelStage,
    seed: number,
  ) {
    this.#config = config;
    this.#layout = layoutOf(config);
    this.#tokenizer = tokenizer;
    this.#faces = faces;
    this.#labels = labels;
    const [start, end] = stage.answerBalance;
    this.#banks = Array.from(
      { length: balanceSteps },
      (_, i) => new QuestionBank(labels, start + ((end - start) * i) / (balanceSteps - 1), stage.topicEmphasis),
    );
    this.#prompts = stage.promptEmphasis && new PromptBank(labels, stage.promptEmphasis.attributes);
    this.#stage = stage;
    this.#seed = seed;
    this.#order = new FaceOrder([...labels.keys()], seed, streams.t2i);
    this.#answerOrder = new FaceOrder([...labels.keys()], seed, streams.mmu);
  }

  /** The batch at a place: of both tasks, or of the one that the stage trains. */
  at(place: BatchPlace): TensorValues {
    const { only } = this.#stage;
    return { ...(only !== 'mmu' && this.#t2i(place)), ...(only !== 't2i' && this.#mmu(place)) };
  }

  /** The mask depends on the padding alone. */
  #t2iMask(ids: readonly number[]): Float32Array {
    const pads = ids.findIndex((id) => id !== this.#layout.pad);
    const known = this.#masks.get(pads) ?? additiveMask(t2iVisibility(this.#layout, ids));
    this.#masks.set(pads, known);
    return known;
  }

  /** Questions and answers repeat: each text is split once. */
  #encode(text: string): number[] {
    const known = this.#encoded.get(text) ?? this.#tokenizer.encode(text);
    if (this.#encoded.size < maxCachedTexts) this.#encoded.set(text, known);
    return known;
  }

  /** One of the two encodings of a face. */
  #entry(face: number, random: Philox): number {
    return 2 * face + random.int(2);
  }

  /** Feed of the codes behind the first of each position, if there are any. */
  #others(task: 't2i' | 'mmu', images: readonly ImageIds[]): TensorValues {
    const others = images.flatMap((image) => image.others);
    return others.length > 0
      ? { [`${task}.others`]: int32(others, [images.length, others.length / images.length]) }
      : {};
  }

  #t2i({ step, part, parts }: BatchPlace): TensorValues {
    const codeCount = imageCodes(this.#config);
    const { conditionDropout, contrast, loss } = this.#stage;
    const t2iBatch = this.#stage.t2iBatch / parts;
    const first = (step * parts + part) * t2iBatch;
    const denied: ImageRow[] = [];
    const contrastWeights: number[] = [];
    const drawn = this.#order.slice(first, t2iBatch).map((inTurn, i): ImageRow => {
      const random = exampleRandom(this.#seed, streams.t2i, first + i);
      const contrasted = contrast && (first + i) % contrast.every === 0;
      const { face, text, contrary } = this.#example(inTurn, random, contrasted);
      const codes = this.#faces.codes[this.#entry(face, random)]!;
      const count = contrasted
        ? Math.max(1, Math.ceil(codeCount * (1 - random.uniform() * (1 - contrast.fewestMasked))))
        : drawMaskCount(loss.law, codeCount, random);
      const masked = drawMask(count, codeCount, random);
      const image = imageIds(
        this.#layout,
        codes.map((code, i) => (masked[i] ? unknownToken : code)),
      );
      const dropped = !contrasted && random.uniform() < conditionDropout;
      const { promptTokens } = this.#config;
      const idsOf = (text: string, dropped = false) =>
        t2iSequence(this.#layout, this.#tokenizer.encode(text), promptTokens, image.first, image.first, dropped).ids;
      const normalized = loss.parameterization === 'normalized';
      const weight =
        tokenWeight(count, codeCount, { ...loss, ...(!normalized && { terms: 'maskOnly' as const }) }) / t2iBatch;
      const scoreWeight = tokenWeight(count, codeCount, { ...loss, terms: 'scoreOnly' }) / t2iBatch;
      const row = {
        ids: idsOf(text, dropped),
        targets: [...codes],
        weights: Array.from(masked, (m) => m * weight),
        scoreWeights: Array.from(masked, (m) => m * scoreWeight),
        image,
        ratio: count / codeCount,
      };
      if (contrasted && contrary !== undefined) {
        const none = row.weights.map(() => 0);
        denied.push({ ...row, ids: idsOf(contrary), weights: none, scoreWeights: none });
        contrastWeights.push(...Array.from(masked, (m) => m * contrast.scale));
      }
      return row;
    });
    const rows = [...drawn, ...denied];
    const length = rows[0]!.ids.length;
    const mask = new Float32Array(rows.length * length * length);
    rows.forEach(({ ids }, b) => {
      mask.set(this.#t2iMask(ids), b * length * length);
    });
    const floats = (values: readonly number[]) => float32(Float32Array.from(values), [values.length]);
    return {
      ...this.#pack('t2i', rows),
      ...this.#others(
        't2i',
        rows.map(({ image }) => image),
      ),
      't2i.mask': float32(mask, [rows.length, 1, length, length]),
      't2i.ratio': floats(rows.map(({ ratio }) => ratio)),
      ...(loss.parameterization !== 'normalized' && {
        't2i.scoreWeights': floats(rows.flatMap(({ scoreWeights }) => scoreWeights)),
      }),
      ...(contrast && { 't2i.contrastWeights': floats(contrastWeights) }),
    };
  }

  /**
   * The face in turn or, where it is contrasted and as far as prompts are emphasised, one drawn for an attribute; with words about
   * it. `contrary` are words that deny what is true of it, where it is contrasted.
   */
  #example(inTurn: number, random: Philox, contrasted = false): { face: number; text: string; contrary?: string } {
    const { listedPrompts = 0, promptEmphasis } = this.#stage;
    // nothing is drawn for options that are not set: recipes without them see the prompts they have always seen
    const isDrawn = contrasted || (promptEmphasis && random.uniform() < promptEmphasis.share);
    const listed = listedPrompts > 0 && random.uniform() < listedPrompts;
    // of one length, lest the model tell the false words by it
    const length = contrasted && promptLength(random);
    const caption = (labels: StatedAttributes) => {
      if (listed) return listCaption(labels, random);
      return length ? captionFace(labels, random, length) : promptCaption(labels, random);
    };
    if (!isDrawn) return { face: inTurn, text: caption(this.#labels[inTurn]!).text };
    const example = this.#prompts!.example(random, caption);
    return { ...example, ...(contrasted && { contrary: contraryText(example, caption) }) };
  }

  /** Faces with a caption and some questions each; captions and questions count the same, however long they are. */
  #mmu({ step, part, parts }: BatchPlace): TensorValues {
    const mmuBatch = this.#stage.mmuBatch / parts;
    const first = (step * parts + part) * mmuBatch;
    const balance = this.#balance(step);
    const { face: faceShape, clip: clipShape } = this.#config.backbone.features;
    const slots = answerSlots(this.#config, this.#stage);
    const prefix = imageTokens(this.#config) + 3;
    const entries: number[] = [];
    const images: ImageIds[] = [];
    const rows = this.#answerOrder.slice(first, mmuBatch).map((inTurn, i): Row => {
      const random = exampleRandom(this.#seed, streams.mmu, first + i);
      // as far as answers are balanced, faces that a topic picks take the place of some
      const face = random.uniform() < balance.share ? balance.bank.face(random) : inTurn;
      const entry = this.#entry(face, random);
      entries.push(entry);
      const image = imageIds(this.#layout, this.#faces.codes[entry]!);
      images.push(image);
      const turns = this.#turns(face, slots, balance.bank, random);
      const { ids, labels } = packedAnswers(this.#layout, image.first, turns, slots);
      const counted = labels.slice(prefix);
      return {
        ids,
        targets: counted.map((label) => Math.max(0, label)),
        weights: answerWeights(counted, slots).map((weight) => weight / mmuBatch),
      };
    });
    const length = rows[0]!.ids.length;
    this.#mmuMask ??= additiveMask(packedVisibility(prefix, slots));
    const features = (parts: readonly Float32Array[], tokens: number, width: number) => {
      const data = new Float32Array(mmuBatch * tokens * width);
      entries.forEach((entry, b) => {
        data.set(parts[entry]!, b * tokens * width);
      });
      return float32(data, [mmuBatch, tokens, width]);
    };
    return {
      ...this.#pack('mmu', rows),
      ...this.#others('mmu', images),
      'mmu.mask': float32(this.#mmuMask, [1, 1, length, length]),
      'mmu.face': features(this.#faces.face, faceShape.tokens, faceShape.width),
      'mmu.clip': features(this.#faces.clip, clipShape.tokens, clipShape.width),
    };
  }

  /** How answers are balanced at a step. */
  #balance(step: number): { bank: QuestionBank; share: number } {
    const { answerBalance, steps } = this.#stage;
    const [start, end] = answerBalance;
    const part = Math.min(Math.floor((balanceSteps * step) / steps), balanceSteps - 1);
    return { bank: this.#banks[part]!, share: (start + ((end - start) * part) / (balanceSteps - 1)) / 2 };
  }

  /** A caption in the first slot, questions in the others. */
  #turns(face: number, slots: readonly number[], bank: QuestionBank, random: Philox): Turn[] {
    const questions = bank.about(face, random);
    return slots.map((room, slot) =>
      slot === 0 ? this.#caption(face, room, random) : this.#question(questions, room),
    );
  }

  /** A caption that fits as a whole; after a few tries the last one, cut. */
  #caption(face: number, slot: number, random: Philox): Turn {
    const question = this.#encode(questionPrompt(describeQuestion));
    const room = slot - question.length - 2;
    let answer: number[] = [];
    for (let tries = 0; tries < 4; tries++) {
      answer = this.#encode(` ${captionFace(this.#labels[face]!, random, 'medium').text}`);
      if (answer.length <= room) break;
    }
    return { question, answer: answer.slice(0, room) };
  }

  /** The first question that fits. */
  #question(questions: Iterator<Question, never>, slot: number): Turn {
    for (let tries = 0; tries < 100; tries++) {
      const { value } = questions.next();
      const question = this.#encode(questionPrompt(value.question));
      const answer = this.#encode(` ${value.answer}`);
      if (question.length + answer.length + 2 <= slot) return { question, answer };
    }
    throw new TrainError(`train: no question fits into ${slot} tokens; try a larger backbone.questionTokens`);
  }

  #pack(task: 't2i' | 'mmu', rows: readonly Row[]): TensorValues {
    const batch = rows.length;
    const length = rows[0]!.ids.length;
    const ids = rows.flatMap((row) => row.ids);
    const targets = rows.flatMap((row) => row.targets);
    return {
      [`${task}.ids`]: int32(ids, [batch, length]),
      [`${task}.rows`]: float32(
        Float32Array.from(ids, (id) => Number(id !== this.#layout.pad)),
        [batch * length],
      ),
      [`${task}.targets`]: int32(targets, [targets.length]),
      [`${task}.weights`]: float32(Float32Array.from(rows.flatMap((row) => row.weights)), [targets.length]),
    };
  }
}
