import {
  AttributeClassifierConfig,
  FaceCnnConfig,
  FrozenEncoderConfig,
  ModelConfig,
  modelSpecs,
  moreEncoders,
} from '@unif2ace/core';
import { z } from 'zod';
import type { Augmentation } from '../attributes/augment.ts';
import type { AttributeRecipe } from '../attributes/train-attributes.ts';
import { attributeNames } from '../data/grammar/attributes.ts';
import type { IdentityRecipe } from '../encoders/train-identity.ts';
import type { ImageTextRecipe } from '../encoders/train-image-text.ts';
import type { AnyRecipe } from './any-recipe.ts';
import { describeError } from './describe-error.ts';
import { TrainError } from './events.ts';
import type { LoopSettings } from './loop.ts';
import type { RoutingSettings } from './monitor/routing-monitor.ts';
import type { SampleOptions } from './monitor/samples.ts';
import type { AdversarySettings } from './patch-adversary.ts';
import type {
  ClassifierEncoder,
  DecoderStage,
  ImageStage,
  ModelStage,
  Recipe,
  TokenizerStage,
  TrainedEncoders,
} from './recipe.ts';

/** A rule for every field of T, no more and no fewer. */
type Rules<T> = { [K in keyof Required<T>]: z.ZodType };

const share = z.number().min(0).max(1);
const weight = z.number().nonnegative();
const count = z.int().positive();

const loopRules = {
  steps: count,
  learningRate: z.number().positive(),
  warmupSteps: z.int().nonnegative(),
  betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).optional(),
  weightDecay: weight,
  clipNorm: z.number().positive(),
  emaDecay: z.number().min(0).lt(1),
  accumulation: count.optional(),
} satisfies Rules<LoopSettings>;

const adversaryRules = {
  weight,
  fromStep: z.int().nonnegative(),
  channels: z.array(count).min(1),
  learningRate: z.number().positive(),
} satisfies Rules<AdversarySettings>;

const imageRules = { ...loopRules, batch: count } satisfies Rules<ImageStage>;

const tokenizerRules = {
  ...imageRules,
  perceptualWeight: weight.optional(),
  adversary: z.strictObject(adversaryRules).optional(),
} satisfies Rules<TokenizerStage>;

/** Stages that every run has; their results are files of these names. */
const takenNames = ['text', 'face-encoder', 'identity-encoder', 'image-text-encoder', 'tokenizer'];

const stageName = z
  .string()
  .regex(/^[\w][\w -]*$/, { error: 'expected letters, digits, spaces and hyphens' })
  .refine((name) => !takenNames.includes(name), { error: `expected a name other than ${takenNames.join(', ')}` });

const decoderRules = { ...tokenizerRules, name: stageName, blend: share.optional() } satisfies Rules<DecoderStage>;

const modelStageRules = {
  ...loopRules,
  name: stageName,
  only: z.enum(['t2i', 'mmu']).optional(),
  t2iBatch: z.int().nonnegative(),
  mmuBatch: z.int().nonnegative(),
  questionsPerFace: z.int().nonnegative(),
  answerBalance: z.tuple([share, share]),
  topicEmphasis: z.record(z.string(), z.number().positive()).optional(),
  questionTokens: count,
  conditionDropout: share,
  listedPrompts: share.optional(),
  promptEmphasis: z
    .strictObject({
      share,
      attributes: z.partialRecord(z.enum(attributeNames), z.number().positive()),
    } satisfies Rules<NonNullable<ModelStage['promptEmphasis']>>)
    .optional(),
  contrast: z
    .strictObject({
      every: count,
      coefficient: weight,
      scale: z.number().positive(),
      fewestMasked: share,
    } satisfies Rules<NonNullable<ModelStage['contrast']>>)
    .optional(),
  mmuCoefficient: weight,
  balanceCoefficient: weight,
  loss: z.strictObject({
    terms: z.enum(['both', 'maskOnly', 'scoreOnly']),
    alpha: weight,
    law: z.enum(['cosine', 'uniform']),
    parameterization: z.enum(['normalized', 'fullVocabulary', 'unnormalized']),
  } satisfies Rules<ModelStage['loss']>),
} satisfies Rules<ModelStage>;

const ModelStageRule = z.strictObject(modelStageRules).superRefine((stage, context) => {
  for (const task of ['t2i', 'mmu'] as const) {
    const isTrained = stage.only === undefined || stage.only === task;
    if (isTrained && stage[`${task}Batch`] === 0)
      context.addIssue({
        code: 'custom',
        path: [`${task}Batch`],
        message: 'expected at least 1 in a stage that trains it',
      });
  }
  if (stage.contrast && !stage.promptEmphasis)
    context.addIssue({
      code: 'custom',
      path: ['promptEmphasis'],
      message: 'expected attributes to contrast beside contrast',
    });
});

const sampleRules = {
  everySeconds: z.number().positive().optional(),
  everySteps: count.optional(),
  prompts: z.array(z.string()).optional(),
  facesPerPrompt: z.int().min(1).max(64).optional(),
  questions: z.array(z.string().min(1)).optional(),
  faces: z.int().nonnegative().optional(),
  seed: z.int().nonnegative().optional(),
} satisfies Rules<SampleOptions>;

const routingRules = {
  everySteps: count.optional(),
  windowRecords: count.optional(),
  minLoad: weight.optional(),
  minEntropy: share.optional(),
} satisfies Rules<RoutingSettings>;

const makesModel = z.custom<Recipe['model']>((value) => typeof value === 'function', {
  error: 'expected a function from the size of the text vocabulary to the model',
});
const textVocabSize = z.int().min(260, { error: 'expected at least 260: every byte and the special tokens' });
const recipeName = z.string().regex(/^[\w.-]+$/, { error: 'expected letters, digits, dots and hyphens' });

const modelRules = {
  kind: z.literal('model'),
  name: recipeName,
  seed: z.int().nonnegative(),
  textVocabSize,
  model: makesModel,
  faceEncoder: z.union([
    z.strictObject({ classifier: z.url() } satisfies Rules<ClassifierEncoder>),
    z.strictObject(imageRules),
  ]),
  encoders: z
    .strictObject({
      identityEncoder: z.url().optional(),
      imageTextEncoder: z.url().optional(),
    } satisfies Rules<TrainedEncoders>)
    .optional(),
  tokenizer: z.strictObject(tokenizerRules),
  decoder: z.array(z.strictObject(decoderRules)).optional(),
  backbone: z.array(ModelStageRule),
  monitor: z
    .strictObject({
      samples: z.union([z.literal(false), z.strictObject(sampleRules)]).optional(),
      routing: z.strictObject(routingRules).optional(),
    })
    .optional(),
} satisfies Rules<Recipe>;

const ModelRecipeRule = z.strictObject(modelRules).superRefine(({ backbone, decoder = [] }, context) => {
  if (backbone.length + decoder.length === 0)
    context.addIssue({ code: 'custom', path: ['backbone'], message: 'expected array to have >=1 items' });
  const names = new Set<string>();
  for (const [field, stages] of Object.entries({ backbone, decoder }))
    stages.forEach(({ name }, i) => {
      if (names.has(name))
        context.addIssue({
          code: 'custom',
          path: [field, i, 'name'],
          message: `expected another name than ${name}, which an earlier stage has`,
        });
      names.add(name);
    });
});

const augmentation = z.strictObject({
  shiftPixels: z.int().nonnegative(),
  contrast: share,
  brightness: weight,
  cutout: share,
  zoom: z.number().min(0).lt(1).optional(),
  turnDegrees: weight.optional(),
} satisfies Rules<Augmentation>);

const attributeRules = {
  kind: z.literal('attributes'),
  name: recipeName,
  seed: z.int().nonnegative(),
  config: AttributeClassifierConfig,
  training: z.strictObject(imageRules),
  augmentation,
  mixup: weight.optional(),
} satisfies Rules<AttributeRecipe>;

const encoderRules = {
  name: recipeName,
  seed: z.int().nonnegative(),
  training: z.strictObject(imageRules),
  augmentation,
  terms: z.string().min(1),
};
const identityRules = {
  ...encoderRules,
  kind: z.literal('identity'),
  encoder: FaceCnnConfig,
  teacher: z.strictObject({
    config: FrozenEncoderConfig,
    file: z.custom<() => string>((value) => typeof value === 'function', { error: 'expected a function' }),
  }),
} satisfies Rules<IdentityRecipe>;
const imageTextRules = {
  ...encoderRules,
  kind: z.literal('image-text'),
  textVocabSize,
  model: z.custom<ImageTextRecipe['model']>((value) => typeof value === 'function', {
    error: 'expected a function from the size of the text vocabulary to the encoder',
  }),
} satisfies Rules<ImageTextRecipe>;

const RecipeRule = z.discriminatedUnion('kind', [
  ModelRecipeRule,
  z.strictObject(attributeRules),
  z.strictObject(identityRules),
  z.strictObject(imageTextRules),
]);

/**
 * Checks a recipe, its model included, before anything of it is run. @param from where it comes from, for messages.
 * @throws TrainError that names the first wrong field.
 */
export function checkRecipe(value: unknown, from: string): AnyRecipe {
  const parsed = RecipeRule.safeParse(value);
  if (!parsed.success) throw faultOf(parsed.error, from, '');
  const recipe = value as AnyRecipe;
  if (recipe.kind === 'model') checkModel(recipe, from);
  return recipe;
}

/** Builds every graph of the model once, as symbols: sizes that do not fit show here and not after an hour. */
function checkModel(recipe: Recipe, from: string): void {
  let made: unknown;
  try {
    made = recipe.model(recipe.textVocabSize);
  } catch (error) {
    if (error instanceof z.ZodError) throw faultOf(error, from, 'model');
    throw new TrainError(`train: ${from}: model: expected a configuration, got ${describeError(error)}`);
  }
  const config = ModelConfig.safeParse(made);
  if (!config.success) throw faultOf(config.error, from, 'model');
  for (const part of moreEncoders)
    if (config.data[part] && !recipe.encoders?.[part])
      throw new TrainError(
        `train: ${from}: encoders.${part}: expected the folder of a trained encoder for the model's ${part}, got none`,
      );
  try {
    modelSpecs(config.data);
  } catch (error) {
    throw new TrainError(
      `train: ${from}: model: expected sizes that fit each other, got ${describeError(error)}; try the sizes of a bundled recipe`,
    );
  }
}

function faultOf({ issues }: z.ZodError, from: string, prefix: string): TrainError {
  const issue = deepest(issues[0]!);
  const path = [prefix, ...issue.path].filter((part) => part !== '').map(String);
  if (issue.code === 'unrecognized_keys')
    return new TrainError(
      `train: ${from}: ${[...path, issue.keys[0]!].join('.')}: expected a known field, got an unknown one; try to leave it out or mend its name`,
    );
  const message = issue.message.replace(/^Invalid input: /, '').replace(/^(Too (small|big): )/, '');
  return new TrainError(`train: ${from}: ${path.join('.') || 'recipe'}: ${message}`);
}

/** Of the branches of a union the fault of that which came furthest. */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return issue;
  const branches = issue.errors.map((faults) => faults.map(deepest));
  const best = branches.reduce((a, b) => (b.length < a.length ? b : a))[0];
  return best ? { ...best, path: [...issue.path, ...best.path] } : issue;
}
