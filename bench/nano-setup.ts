import {
  createTextTokenizer,
  describeQuestion,
  imageCodes,
  imageTokens,
  layoutOf,
  type ModelConfig,
  questionPrompt,
  type TextTokenizer,
} from '@unif2ace/core';
import { Philox } from '@unif2ace/graph';
import {
  type Attributes,
  answerSlots,
  attributeNames,
  captionFace,
  type EncodedFaces,
  type ModelStage,
  questionsAbout,
  type Recipe,
  trainBpe,
} from '@unif2ace/lab';

/** What both sides of the nano_step benchmark build the same model from. */
export interface PeerSizes {
  [name: string]: unknown;
}

/** Sizes for the peer, from a model and a stage that trains both tasks. @throws Error for what the peer does not have. */
export function peerSizes(config: ModelConfig, stage: ModelStage, faces: number): PeerSizes {
  const { phi, tokenMoe, sequenceMoe, resampler, features, block } = config.backbone;
  if (!tokenMoe || !sequenceMoe || block !== 'sequential' || !resampler.shared || sequenceMoe.mix !== 'scalar')
    throw new Error('nano_step: expected sequential blocks, both kinds of experts and shared resamplers');
  const { sot, eot, pad, soi, eoi, t2i, mmu, codeOffset, codes, codeGroups, mask, vocabSize } = layoutOf(config);
  const { routedHidden, sharedHidden, router } = tokenMoe;
  return {
    ...{ sot, eot, pad, soi, eoi, t2i, mmu, codeOffset, codes, codeGroups, mask, vocabSize },
    textVocabSize: config.textVocabSize,
    hidden: phi.hiddenSize,
    layers: phi.layers,
    heads: phi.heads,
    rotaryDims: Math.floor((phi.partialRotaryFactor * phi.hiddenSize) / phi.heads),
    ropeTheta: phi.ropeTheta,
    epsilon: phi.layerNormEps,
    tokenMoe: { experts: router.experts, topK: router.topK, routedHidden, sharedHidden },
    sequenceMoe: { t2i: sequenceMoe.t2i, mmu: sequenceMoe.mmu, topK: sequenceMoe.topK },
    resampler: resampler.sizes,
    features,
    promptTokens: config.promptTokens,
    imageTokens: imageTokens(config),
    slots: answerSlots(config, stage),
    t2iBatch: stage.t2iBatch,
    mmuBatch: stage.mmuBatch,
    faces,
    learningRate: stage.learningRate,
    weightDecay: stage.weightDecay,
    clipNorm: stage.clipNorm,
    emaDecay: stage.emaDecay,
    alpha: stage.loss.alpha,
    conditionDropout: stage.conditionDropout,
    mmuCoefficient: stage.mmuCoefficient,
    balanceCoefficient: stage.balanceCoefficient,
  };
}

/** The stage of a recipe that trains both tasks with the most generation. */
export function jointStage(recipe: Recipe): ModelStage {
  const joint = recipe.backbone.filter(({ only }) => !only).sort((a, b) => b.t2iBatch - a.t2iBatch)[0];
  if (!joint) throw new Error(`nano_step: ${recipe.name} has no stage of both tasks`);
  return joint;
}

export interface NanoSetup {
  config: ModelConfig;
  stage: ModelStage;
  tokenizer: TextTokenizer;
  labels: Attributes[];
  faces: EncodedFaces;
}

/** A recipe's model with a text tokenizer trained on its grammar, and faces of random labels, codes and features. */
export function nanoSetup(recipe: Recipe, count: number): NanoSetup {
  const random = new Philox(recipe.seed);
  const labels = Array.from(
    { length: count },
    () => Object.fromEntries(attributeNames.map((name) => [name, random.uniform() < 0.25])) as Attributes,
  );
  const texts = [
    questionPrompt(describeQuestion),
    ...labels.flatMap((attributes) => [
      captionFace(attributes, random, 'short').text,
      ` ${captionFace(attributes, random, 'medium').text}`,
      ...questionsAbout(attributes, random).flatMap(({ question, answer }) => [questionPrompt(question), ` ${answer}`]),
    ]),
  ];
  const bpe = trainBpe(texts, { vocabSize: recipe.textVocabSize });
  const config = recipe.model(bpe.vocabSize);
  const { codes } = layoutOf(config);
  const { face, clip } = config.backbone.features;
  const entries = <T>(make: () => T) => Array.from({ length: 2 * count }, make);
  const normals = (length: number) => Float32Array.from({ length }, () => random.normal());
  return {
    config,
    stage: jointStage(recipe),
    tokenizer: createTextTokenizer(bpe.json),
    labels,
    faces: {
      codes: entries(() => Int32Array.from({ length: imageCodes(config) }, () => random.int(codes))),
      face: entries(() => normals(face.tokens * face.width)),
      clip: entries(() => normals(clip.tokens * clip.width)),
    },
  };
}
