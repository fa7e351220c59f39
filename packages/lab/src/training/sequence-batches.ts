import {
  additiveMask,
  answerSequence,
  describeQuestion,
  drawMask,
  drawMaskCount,
  ignoreLabel,
  imageTokens,
  layoutOf,
  type ModelConfig,
  mmuVisibility,
  questionPrompt,
  type SpecialTokens,
  type TextTokenizer,
  t2iSequence,
  t2iVisibility,
  tokenWeight,
} from '@unif2ace/core';
import { float32, int32, type Philox, type TensorValues } from '@unif2ace/graph';
import type { Attributes } from '../data/grammar/attributes.ts';
import { captionFace } from '../data/grammar/caption.ts';
import { QuestionBank } from '../data/grammar/questions.ts';
import type { EncodedFaces } from './encode-faces.ts';
import { FaceOrder } from './face-batches.ts';
import type { ModelStage } from './recipe.ts';

const maxCachedTexts = 20_000;

/** Sequences with the loss weight of each target. */
interface Row {
  ids: number[];
  targets: number[];
  weights: number[];
  /** Additive mask [L, L]. */
  mask: Float32Array;
}

/** Draws training batches of both tasks from encoded faces, their labels and the grammar. */
export class SequenceBatches {
  readonly #config: ModelConfig;
  readonly #layout: SpecialTokens;
  readonly #tokenizer: TextTokenizer;
  readonly #faces: EncodedFaces;
  readonly #labels: readonly Attributes[];
  readonly #bank: QuestionBank;
  readonly #stage: ModelStage;
  readonly #random: Philox;
  readonly #order: FaceOrder;
  readonly #captionOrder: FaceOrder;
  readonly #masks = new Map<number, Float32Array>();
  readonly #encoded = new Map<string, number[]>();

  constructor(
    config: ModelConfig,
    tokenizer: TextTokenizer,
    faces: EncodedFaces,
    labels: readonly Attributes[],
    stage: ModelStage,
    random: Philox,
  ) {
    this.#config = config;
    this.#layout = layoutOf(config);
    this.#tokenizer = tokenizer;
    this.#faces = faces;
    this.#labels = labels;
    this.#bank = new QuestionBank(labels);
    this.#stage = stage;
    this.#random = random;
    this.#order = new FaceOrder([...labels.keys()], random);
    this.#captionOrder = new FaceOrder([...labels.keys()], random);
  }

  next(): TensorValues {
    return { ...this.#t2i(), ...this.#mmu() };
  }

  /** The mask depends on the padding alone. */
  #t2iMask(ids: readonly number[]): Float32Array {
    const pads = ids.findIndex((id) => id !== this.#layout.pad);
    const known = this.#masks.get(pads) ?? additiveMask(t2iVisibility(this.#layout, ids));
    this.#masks.set(pads, known);
    return known;
  }

  /** The mask is the same for all sequences: the image prefix has one length. */
  #mmuMask(ids: readonly number[]): Float32Array {
    const known = this.#masks.get(-1) ?? additiveMask(mmuVisibility(this.#layout, ids));
    this.#masks.set(-1, known);
    return known;
  }

  /** Questions and answers repeat: each text is split once. */
  #encode(text: string): number[] {
    const known = this.#encoded.get(text) ?? this.#tokenizer.encode(text);
    if (this.#encoded.size < maxCachedTexts) this.#encoded.set(text, known);
    return known;
  }

  /** One of the two encodings of a face. */
  #entry(face: number): number {
    return 2 * face + this.#random.int(2);
  }

  #ids(entry: number): number[] {
    return Array.from(this.#faces.codes[entry]!, (code) => this.#layout.codeOffset + code);
  }

  #t2i(): TensorValues {
    const tokens = imageTokens(this.#config);
    const { t2iBatch, conditionDropout, loss } = this.#stage;
    const ratios: number[] = [];
    const scoreWeights: number[] = [];
    const rows = this.#order.next(t2iBatch).map((face): Row => {
      const codes = this.#faces.codes[this.#entry(face)]!;
      const length = this.#random.uniform() < 0.7 ? 'short' : 'medium';
      const text = this.#tokenizer.encode(captionFace(this.#labels[face]!, this.#random, length).text);
      const count = drawMaskCount(loss.law, tokens, this.#random);
      const masked = drawMask(count, tokens, this.#random);
      const image = Array.from(codes, (code, i) => (masked[i] ? this.#layout.mask : this.#layout.codeOffset + code));
      const dropped = this.#random.uniform() < conditionDropout;
      const { ids } = t2iSequence(this.#layout, text, this.#config.promptTokens, image, image, dropped);
      ratios.push(count / tokens);
      const normalized = loss.parameterization === 'normalized';
      const weight =
        tokenWeight(count, tokens, { ...loss, ...(!normalized && { terms: 'maskOnly' as const }) }) / t2iBatch;
      const score = tokenWeight(count, tokens, { ...loss, terms: 'scoreOnly' }) / t2iBatch;
      scoreWeights.push(...Array.from(masked, (m) => m * score));
      return {
        ids,
        targets: [...codes],
        weights: Array.from(masked, (m) => m * weight),
        mask: this.#t2iMask(ids),
      };
    });
    return {
      ...this.#pack('t2i', rows),
      't2i.ratio': float32(Float32Array.from(ratios), [t2iBatch]),
      ...(loss.parameterization !== 'normalized' && {
        't2i.scoreWeights': float32(Float32Array.from(scoreWeights), [t2iBatch * tokens]),
      }),
    };
  }

  #mmu(): TensorValues {
    const { mmuBatch } = this.#stage;
    const { face: faceShape, clip: clipShape } = this.#config.backbone.features;
    const prefix = imageTokens(this.#config) + 3;
    const entries: number[] = [];
    const rows = Array.from({ length: mmuBatch }, (_, b): Row => {
      const drawn = b % 2 === 0 ? this.#caption() : this.#question();
      const entry = this.#entry(drawn.face);
      entries.push(entry);
      const { ids, labels } = answerSequence(
        this.#layout,
        this.#ids(entry),
        drawn.question,
        drawn.answer,
        this.#config.answerTokens,
      );
      const counted = labels.slice(prefix);
      return {
        ids,
        targets: counted.map((label) => Math.max(0, label)),
        weights: counted.map((label) => Number(label !== ignoreLabel)),
        mask: this.#mmuMask(ids),
      };
    });
    // mean over all counted tokens of the batch
    const total = rows.reduce((sum, row) => sum + row.weights.reduce((a, b) => a + b, 0), 0);
    for (const row of rows) row.weights = row.weights.map((weight) => weight / total);
    const features = (parts: readonly Float32Array[], tokens: number, width: number) => {
      const data = new Float32Array(mmuBatch * tokens * width);
      entries.forEach((entry, b) => {
        data.set(parts[entry]!, b * tokens * width);
      });
      return float32(data, [mmuBatch, tokens, width]);
    };
    return {
      ...this.#pack('mmu', rows),
      'mmu.face': features(this.#faces.face, faceShape.tokens, faceShape.width),
      'mmu.clip': features(this.#faces.clip, clipShape.tokens, clipShape.width),
    };
  }

  /** A caption that fits as a whole; after a few tries the last one, cut. */
  #caption(): { face: number; question: number[]; answer: number[] } {
    const [face] = this.#captionOrder.next(1) as [number];
    const question = this.#encode(questionPrompt(describeQuestion));
    const room = this.#config.answerTokens - question.length - 2;
    let answer: number[] = [];
    for (let tries = 0; tries < 4; tries++) {
      answer = this.#encode(` ${captionFace(this.#labels[face]!, this.#random, 'medium').text}`);
      if (answer.length <= room) break;
    }
    return { face, question, answer: answer.slice(0, room) };
  }

  #question(): { face: number; question: number[]; answer: number[] } {
    const { face, question } = this.#bank.draw(this.#random);
    return {
      face,
      question: this.#encode(questionPrompt(question.question)),
      answer: this.#encode(` ${question.answer}`),
    };
  }

  #pack(task: 't2i' | 'mmu', rows: readonly Row[]): TensorValues {
    const batch = rows.length;
    const length = rows[0]!.ids.length;
    const mask = new Float32Array(batch * length * length);
    rows.forEach((row, b) => {
      mask.set(row.mask, b * length * length);
    });
    const ids = rows.flatMap((row) => row.ids);
    const targets = rows.flatMap((row) => row.targets);
    return {
      [`${task}.ids`]: int32(ids, [batch, length]),
      [`${task}.mask`]: float32(mask, [batch, 1, length, length]),
      [`${task}.rows`]: float32(
        Float32Array.from(ids, (id) => Number(id !== this.#layout.pad)),
        [batch * length],
      ),
      [`${task}.targets`]: int32(targets, [targets.length]),
      [`${task}.weights`]: float32(Float32Array.from(rows.flatMap((row) => row.weights)), [targets.length]),
    };
  }
}
