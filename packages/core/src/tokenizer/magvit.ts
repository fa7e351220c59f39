import { type ParamScope, reshape, swish, type Tensor, transpose } from '@unif2ace/graph';
import { z } from 'zod';
import {
  attnBlock,
  convLayer,
  downsample,
  groupNormLayer,
  type NormSettings,
  resnetBlock,
  upsample,
} from './magvit-blocks.ts';

/** Channel multiples and residual blocks of each resolution, full resolution first. */
const Levels = z
  .strictObject({ channelMultiples: z.array(z.int().positive()).min(1), resBlocks: z.array(z.int().positive()).min(1) })
  .refine((levels) => levels.channelMultiples.length === levels.resBlocks.length, {
    error: 'channelMultiples and resBlocks must have one entry per level',
  });

/** MAGVIT-v2 tokenizer as Show-o has it; defaults are its 256-pixel model with 8,192 codes. */
export const MagvitConfig = z
  .strictObject({
    channels: z.int().positive().default(128),
    imageChannels: z.int().positive().default(3),
    /**
     * Edge in pixels of the squares that become channels before the first convolution and pixels after the last (space to depth).
     * 2 leaves out the level of full resolution, which costs a small model half of its time. The original has 1.
     */
    patch: z.int().positive().default(1),
    /** Bits of a position. */
    codeBits: z.int().min(1).max(30).default(13),
    /**
     * Codes that these bits are split into: each position then has `codeGroups` codes of codeBits / codeGroups bits, and as many
     * small codebooks take the place of one of 2^codeBits. The original has 1.
     */
    codeGroups: z.int().positive().default(1),
    encoder: Levels.prefault({ channelMultiples: [1, 2, 2, 4, 4], resBlocks: [4, 3, 4, 3, 4] }),
    decoder: Levels.prefault({ channelMultiples: [1, 1, 2, 2, 4], resBlocks: [4, 4, 3, 4, 3] }),
    groups: z.int().positive().default(32),
    normEps: z.number().positive().default(1e-6),
    commitmentBeta: z.number().nonnegative().default(0.25),
    commitmentWeight: z.number().nonnegative().default(0.1),
    entropyWeight: z.number().nonnegative().default(0.1),
    /** Weight of the correlation of bits; the original has no such term. */
    decorrelationWeight: z.number().nonnegative().default(0),
  })
  .refine((config) => config.encoder.resBlocks.length === config.decoder.resBlocks.length, {
    error: 'encoder and decoder must have the same number of levels',
    path: ['decoder'],
  })
  .refine((config) => config.codeBits % config.codeGroups === 0, {
    error: 'codeBits must be a multiple of codeGroups',
    path: ['codeGroups'],
  });
export type MagvitConfig = z.infer<typeof MagvitConfig>;

/** Pixels along one side of a code's cell. */
export function downsamplingFactor(config: MagvitConfig): number {
  return config.patch * 2 ** (config.encoder.resBlocks.length - 1);
}

/** Values on the way, under the names of the original's modules. */
export type Hidden = Record<string, Tensor>;

function normOf(config: MagvitConfig): NormSettings {
  return { groups: config.groups, epsilon: config.normEps };
}

function middle(scope: ParamScope, x: Tensor, norm: NormSettings, hidden: Hidden, prefix: string): Tensor {
  const channels = x.dim(1);
  const attended = attnBlock(scope.at('attn_1'), resnetBlock(scope.at('block_1'), x, channels, norm), norm);
  hidden[`${prefix}_mid_attn`] = attended;
  const y = resnetBlock(scope.at('block_2'), attended, channels, norm);
  hidden[`${prefix}_mid`] = y;
  return y;
}

/** [B, C, H·p, W·p] → [B, C·p², H, W]. */
function toPatches(x_BCHW: Tensor, patch: number): Tensor {
  if (patch === 1) return x_BCHW;
  const [batch, channels, height, width] = dims(x_BCHW);
  const [rows, columns] = [height / patch, width / patch];
  const split = reshape(x_BCHW, [batch, channels, rows, patch, columns, patch]);
  return reshape(transpose(split, [0, 1, 3, 5, 2, 4]), [batch, channels * patch ** 2, rows, columns]);
}

/** [B, C·p², H, W] → [B, C, H·p, W·p]. */
function fromPatches(x_BCHW: Tensor, patch: number): Tensor {
  if (patch === 1) return x_BCHW;
  const [batch, channels, height, width] = dims(x_BCHW);
  const split = reshape(x_BCHW, [batch, channels / patch ** 2, patch, patch, height, width]);
  return reshape(transpose(split, [0, 1, 4, 2, 5, 3]), [batch, channels / patch ** 2, height * patch, width * patch]);
}

function dims(x_BCHW: Tensor): [number, number, number, number] {
  return [x_BCHW.dim(0), x_BCHW.dim(1), x_BCHW.dim(2), x_BCHW.dim(3)];
}

/** Pixels [B, 3, H, W] in −1..1 → features before quantising [B, codeBits, H/f, W/f] (quirks: MAGVIT-v2). */
export function magvitEncoder(
  scope: ParamScope,
  config: MagvitConfig,
  pixels_BCHW: Tensor,
): { z_BCHW: Tensor; hidden: Hidden } {
  const norm = normOf(config);
  const hidden: Hidden = {};
  const { channelMultiples, resBlocks } = config.encoder;
  let x = convLayer(scope.at('conv_in'), toPatches(pixels_BCHW, config.patch), config.channels, 3);
  hidden.enc_conv_in = x;
  channelMultiples.forEach((multiple, level) => {
    const down = scope.at('down').at(level);
    for (let block = 0; block < resBlocks[level]!; block++)
      x = resnetBlock(down.at('block').at(block), x, config.channels * multiple, norm);
    hidden[`enc_down${level}`] = x;
    if (level < channelMultiples.length - 1) x = downsample(down.at('downsample'), x);
  });
  x = middle(scope.at('mid'), x, norm, hidden, 'enc');
  x = convLayer(scope.at('conv_out'), swish(groupNormLayer(scope.at('norm_out'), x, norm)), config.codeBits, 3);
  hidden.enc_conv_out = x;
  return { z_BCHW: convLayer(scope.at('quant_conv'), x, config.codeBits, 1), hidden };
}

/** Codes as ±1 features [B, codeBits, h, w] → pixels [B, 3, H, W], not clamped. */
export function magvitDecoder(
  scope: ParamScope,
  config: MagvitConfig,
  z_BCHW: Tensor,
): { pixels_BCHW: Tensor; hidden: Hidden } {
  const norm = normOf(config);
  const hidden: Hidden = {};
  const { channelMultiples, resBlocks } = config.decoder;
  let x = convLayer(scope.at('post_quant_conv'), z_BCHW, config.codeBits, 1);
  hidden.dec_post_quant_conv = x;
  x = convLayer(scope.at('conv_in'), x, config.channels * channelMultiples.at(-1)!, 3);
  x = middle(scope.at('mid'), x, norm, hidden, 'dec');
  for (let level = channelMultiples.length - 1; level >= 0; level--) {
    const up = scope.at('up').at(level);
    for (let block = 0; block < resBlocks[level]!; block++)
      x = resnetBlock(up.at('block').at(block), x, config.channels * channelMultiples[level]!, norm);
    hidden[`dec_up${level}`] = x;
    if (level > 0) x = upsample(up.at('upsample'), x);
  }
  x = swish(groupNormLayer(scope.at('norm_out'), x, norm));
  x = convLayer(scope.at('conv_out'), x, config.imageChannels * config.patch ** 2, 3);
  return { pixels_BCHW: fromPatches(x, config.patch), hidden };
}
