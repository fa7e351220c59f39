import type { LossTerms, MaskCountLaw, ModelConfig, moreEncoders, ScoreParameterization } from '@unif2ace/core';
import type { AttributeName } from '../data/grammar/attributes.ts';
import type { LoopSettings } from './loop.ts';
import type { RoutingSettings } from './monitor/routing-monitor.ts';
import type { SampleOptions } from './monitor/samples.ts';
import type { AdversarySettings } from './patch-adversary.ts';

export interface ImageStage extends LoopSettings {
  /** Images a step. */
  batch: number;
}

export interface TokenizerStage extends ImageStage {
  /**
   * Weight of the distance between features of picture and reconstruction in the frozen face encoder (as LPIPS, Zhang et
   * al. 2018, without its learnt weights): sharper to the eye at some cost in squared error. Default 0.
   */
  perceptualWeight?: number;
  /** A discriminator of patches (VQGAN, Esser et al. 2021). Default none. */
  adversary?: AdversarySettings;
}

export interface DecoderStage extends TokenizerStage {
  /** Name of its checkpoint and of its lines of progress; unlike those of the other stages. */
  name: string;
  /**
   * Share of the newly trained parameters, the rest is of those before the stage: what is seen against what is measured, by one
   * number (network interpolation, Wang et al. 2018). Default 1.
   */
  blend?: number;
}

export interface ModelStage extends LoopSettings {
  /** Name of its checkpoint and of its lines of progress; unlike those of the other stages. */
  name: string;
  /**
   * Train the experts of one task alone: nothing of the other is computed, what both share stays as it is, and so does
   * the other task, to the bit. Default: both tasks, all parameters.
   */
  only?: 't2i' | 'mmu';
  /** Text-to-image sequences a step. */
  t2iBatch: number;
  /** Faces to be understood a step, each with a caption and some questions. */
  mmuBatch: number;
  questionsPerFace: number;
  /**
   * Balance of answers within each topic at the start and at the end: 1 is yes and no equally often, 0 as often as they
   * are. Balanced first, the rare answer is learnt; nearer to life at last, it is not given too often.
   */
  answerBalance: readonly [start: number, end: number];
  /** How much more often a topic is asked, by topic; others once. Half as often as answers are balanced, its faces are picked for it. */
  topicEmphasis?: Readonly<Record<string, number>>;
  /** Room of a question with its answer; longer ones are not asked. */
  questionTokens: number;
  /** Share of prompts dropped, so that guidance has an unconditional branch. */
  conditionDropout: number;
  /** Share of prompts that list much of what is known, also what is absent, so that every face teaches more words. Default 0. */
  listedPrompts?: number;
  /**
   * Share of faces that are drawn for an attribute, with and without it equally often within a gender, and with a prompt that says
   * so; and how often each attribute comes (see `PromptBank`). Default: faces as they come, prompts as they fall.
   */
  promptEmphasis?: { share: number; attributes: Readonly<Partial<Record<AttributeName, number>>> };
  /**
   * Words told apart: every so many text-to-image sequences, beginning with the first, one is drawn for an attribute of `promptEmphasis`
   * and trained a second time under words that deny what is true of it; the model is to find its masked codes likelier under the true
   * ones. `scale` multiplies the difference of the log-likelihoods, which counts codes that go together as if they did not. Of these
   * sequences at least the share `fewestMasked` is masked, uniformly: where most is seen, words tell little. Default: none.
   */
  contrast?: { every: number; coefficient: number; scale: number; fewestMasked: number };
  /** Weight of the understanding loss beside D3Diff. */
  mmuCoefficient: number;
  /** Weight of the balance terms. */
  balanceCoefficient: number;
  loss: { terms: LossTerms; alpha: number; law: MaskCountLaw; parameterization: ScoreParameterization };
}

/** The encoder of an attribute classifier that was trained before, with its head folded in, instead of one trained here. */
export interface ClassifierEncoder {
  /** Its folder, as a file URL. */
  classifier: string;
}

/** Encoders that were trained before, by recipes `identity` and `image-text`: their folders, as file URLs. */
export type TrainedEncoders = { [Part in (typeof moreEncoders)[number]]?: string };

/** A whole training run: what is trained on which data for how long. A recipe file documents itself by its docstring. */
export interface Recipe {
  kind: 'model';
  name: string;
  seed: number;
  /** Tokens of the text tokenizer that is trained on the grammar's captions and questions. */
  textVocabSize: number;
  /** The model, once the tokenizer's size is known. */
  model: (textVocabSize: number) => ModelConfig;
  faceEncoder: ImageStage | ClassifierEncoder;
  /** For a model with `identityEncoder` or `imageTextEncoder`: where these come from. */
  encoders?: TrainedEncoders;
  tokenizer: TokenizerStage;
  /**
   * Afterwards the decoder alone, in order: every code stays as it is, and so does all that the backbone has learnt. These are the
   * last stages. Default none.
   */
  decoder?: readonly DecoderStage[];
  /**
   * In order, each going on from the parameters of the one before (paper §4: generation and captions, then questions). None where a
   * trained model is given whose decoder alone is trained further.
   */
  backbone: readonly ModelStage[];
  /** What is shown of the backbone while it is trained; it changes nothing of the result. */
  monitor?: {
    /** Sample faces and answers; false takes none. */
    samples?: SampleOptions | false;
    routing?: RoutingSettings;
  };
}
