import { z } from 'zod';
import { BackboneConfig } from '../backbone/config.ts';
import { FaceCnnConfig, faceCnnGrid } from '../encoders/face-cnn.ts';
import { ownLayout, type SpecialTokens } from '../prompt/special-tokens.ts';
import { downsamplingFactor, MagvitConfig } from '../tokenizer/magvit.ts';

/** Encoders whose features stand behind those of `faceEncoder`, where a model has them. */
export const moreEncoders = ['identityEncoder', 'imageTextEncoder'] as const;

/** Everything that determines a model's graphs; stored as model.json beside the weights. */
export const ModelConfig = z
  .strictObject({
    format: z.literal('unif2ace-1'),
    name: z.string().min(1),
    /** Edge of the square image in pixels. */
    imageSize: z.int().positive(),
    tokenizer: MagvitConfig,
    /** Ids of the text tokenizer, special tokens not counted. */
    textVocabSize: z.int().positive(),
    /** Text tokens of a generation prompt, sot and eot included. */
    promptTokens: z.int().min(3),
    /** Text tokens of a question with its answer, sot and eot included. */
    answerTokens: z.int().min(4),
    backbone: BackboneConfig,
    faceEncoder: FaceCnnConfig,
    /** Its embedding stands behind that of `faceEncoder` in what the Face expert reads. Default none. */
    identityEncoder: FaceCnnConfig.optional(),
    /** Its patches stand behind those of `faceEncoder`, channel by channel, in what the CLIP expert reads. Default none. */
    imageTextEncoder: FaceCnnConfig.optional(),
    /**
     * What `temperature: 1` of generation stands for: how much chance there is in the order in which tokens settle, MaskGIT's
     * choice_temperature. With little, flat dark regions, which are certain early, take the whole picture of a small model.
     */
    confidenceTemperature: z.number().nonnegative().default(4.5),
    /** How strongly words count where nothing else is asked for: what was found to suit the model. */
    guidance: z.number().min(0).max(100).default(3),
    /**
     * Share of the steps, from the first on, that guidance is used in. The first ones settle what the words are about; guided
     * later ones mostly narrow the rest, and are two rows of the network instead of one.
     */
    guidedShare: z.number().min(0).max(1).default(1),
  })
  .superRefine((config, context) => {
    const expect = (path: (string | number)[], want: number, got: number) => {
      if (want !== got)
        context.addIssue({ code: 'custom', path, message: `expected ${want} from the other fields, got ${got}` });
    };
    expect(['backbone', 'phi', 'vocabSize'], layoutOf(config).vocabSize, config.backbone.phi.vocabSize);
    const sizes = featureSizes(config);
    const { face, clip } = config.backbone.features;
    expect(['backbone', 'features', 'face', 'width'], sizes.face.width, face.width);
    expect(['backbone', 'features', 'clip', 'width'], sizes.clip.width, clip.width);
    expect(['backbone', 'features', 'clip', 'tokens'], sizes.clip.tokens, clip.tokens);
    for (const part of moreEncoders)
      if (config[part]) expect([part, 'imageSize'], config.faceEncoder.imageSize, config[part].imageSize);
    if (config.imageTextEncoder)
      expect(['imageTextEncoder', 'patchPool'], sizes.clip.tokens, faceCnnGrid(config.imageTextEncoder) ** 2);
    const longest = imageTokens(config) + 3 + Math.max(config.promptTokens, config.answerTokens);
    if (longest > config.backbone.phi.maxPositions)
      context.addIssue({
        code: 'custom',
        path: ['backbone', 'phi', 'maxPositions'],
        message: `expected at least ${longest}, the longest sequence, got ${config.backbone.phi.maxPositions}`,
      });
    if (config.imageSize % downsamplingFactor(config.tokenizer) !== 0)
      context.addIssue({
        code: 'custom',
        path: ['imageSize'],
        message: `expected a multiple of ${downsamplingFactor(config.tokenizer)}`,
      });
  });
export type ModelConfig = z.infer<typeof ModelConfig>;

/** What the frozen encoders give of a face together: tokens and their width. */
export function featureSizes({
  faceEncoder,
  identityEncoder,
  imageTextEncoder,
}: Pick<ModelConfig, 'faceEncoder' | 'identityEncoder' | 'imageTextEncoder'>) {
  const channels = (encoder?: FaceCnnConfig) => encoder?.channels.at(-1) ?? 0;
  return {
    face: { tokens: 1, width: faceEncoder.width + (identityEncoder?.width ?? 0) },
    clip: { tokens: faceCnnGrid(faceEncoder) ** 2, width: channels(faceEncoder) + channels(imageTextEncoder) },
  };
}

/** Codes along one side of the token grid. */
export function tokenGrid(config: Pick<ModelConfig, 'imageSize' | 'tokenizer'>): number {
  return config.imageSize / downsamplingFactor(config.tokenizer);
}

/** Image positions in a sequence. */
export function imageTokens(config: Pick<ModelConfig, 'imageSize' | 'tokenizer'>): number {
  return tokenGrid(config) ** 2;
}

/** Codes of an image, `codeGroups` for each position: what diffusion masks and draws. */
export function imageCodes(config: Pick<ModelConfig, 'imageSize' | 'tokenizer'>): number {
  return imageTokens(config) * config.tokenizer.codeGroups;
}

/** Ids of special tokens and image codes. */
export function layoutOf(config: Pick<ModelConfig, 'textVocabSize' | 'tokenizer'>): SpecialTokens {
  const { codeBits, codeGroups } = config.tokenizer;
  return ownLayout(config.textVocabSize, 2 ** (codeBits / codeGroups), codeGroups);
}
