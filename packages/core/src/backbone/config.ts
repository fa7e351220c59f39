import { z } from 'zod';
import { ResamplerConfig } from './experts/resampler.ts';
import { SequenceMoeConfig } from './experts/sequence-moe.ts';
import { TokenMoeConfig } from './experts/token-moe.ts';
import { PhiConfig } from './phi.ts';

/** The task group of a sequence: text to image, or multimodal understanding. Chosen by the caller, never routed. */
export type Task = 't2i' | 'mmu';

/** The backbone with its experts; each row of the paper's ablations is a setting of it. */
export const BackboneConfig = z
  .strictObject({
    phi: PhiConfig,
    /** `sequential`: h = x + Attn(LN x); h += Token(LN h); h += Sequence(LN h). `parallel` keeps Phi's block and adds the sequence level. */
    block: z.enum(['sequential', 'parallel']).default('sequential'),
    /** null keeps the dense feed-forward. */
    tokenMoe: TokenMoeConfig.nullable(),
    /** null leaves the sequence level out. */
    sequenceMoe: SequenceMoeConfig.nullable(),
    resampler: z.strictObject({
      sizes: ResamplerConfig,
      /** One resampler for all layers instead of one per layer. */
      shared: z.boolean(),
    }),
    /** Widths of the frozen encoders' features; `tokens` per image. */
    features: z.strictObject({
      face: z.strictObject({ width: z.int().positive(), tokens: z.int().positive() }),
      clip: z.strictObject({ width: z.int().positive(), tokens: z.int().positive() }),
      /** Width of the sinusoidal embedding of the mask ratio. */
      noise: z.strictObject({ width: z.int().positive() }),
    }),
  })
  .refine(({ phi }) => phi.hiddenSize % phi.heads === 0, {
    error: 'hiddenSize must be a multiple of heads',
    path: ['phi', 'heads'],
  });
export type BackboneConfig = z.infer<typeof BackboneConfig>;
