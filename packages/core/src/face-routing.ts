import { Philox } from '@unif2ace/graph';
import { drawMask } from './diffusion/masking.ts';
import { unknownToken } from './diffusion/sampler-maskgit.ts';
import { maskRatio } from './diffusion/schedules.ts';
import type { ExpertRouting } from './engine/denoising.ts';
import { imageCodes, imageTokens } from './model/config.ts';
import type { FaceInput, GenerateOptions, UniF2ace } from './unif2ace.ts';

// E experts, N image positions, G codes of a position

/** What of a model routing needs. */
type Routed = Pick<UniF2ace, 'config' | 'encode' | 'generate' | 'routing'>;

export interface PictureRoutingOptions {
  /** Shares of masked positions that are looked at, from all to few along the cosine schedule. Default 12. */
  steps?: number;
  /** Draws which positions are masked. Default 0. */
  seed?: number;
  signal?: AbortSignal;
}

/**
 * Which experts of generation fired where for a generated face: it is made again, step by step, and what the routers (paper §2.4)
 * do is noted in each. Gate weights are means over the steps: [E, N] at token level, [E] at sequence level. Only the branch
 * with the words counts, not that without.
 * @throws RangeError naming an option out of range, or for a model without experts; the signal's reason.
 */
export async function generatedFaceRouting(
  model: Routed,
  prompt: string,
  options: Omit<GenerateOptions, 'count' | 'candidates'> = {},
): Promise<ExpertRouting[]> {
  const mean = new MeanRouting();
  let before = new Int32Array(imageCodes(model.config)).fill(unknownToken);
  for await (const { tokens } of model.generate(prompt, { ...options, count: 1 })) {
    mean.add(await model.routing(prompt, before));
    before = Int32Array.from(tokens[0]!);
  }
  return mean.value();
}

/**
 * The same for any picture of a face: its codes are masked at random as in training, ever fewer of them, as if it had just been
 * made after the words.
 * @throws RangeError for a model without experts; the signal's reason.
 */
export async function pictureRouting(
  model: Routed,
  face: FaceInput,
  prompt: string,
  { steps = 12, seed = 0, signal }: PictureRoutingOptions = {},
): Promise<ExpertRouting[]> {
  if (!Number.isInteger(steps) || steps < 1 || steps > 1024)
    throw new RangeError(`pictureRouting: steps: expected a whole number from 1 to 1,024, got ${steps}`);
  const positions = imageTokens(model.config);
  const groups = imageCodes(model.config) / positions;
  const [codes] = await model.encode([face]);
  const random = new Philox(seed);
  const mean = new MeanRouting();
  for (let step = 0; step < steps; step++) {
    signal?.throwIfAborted();
    const masks = Math.ceil(positions * maskRatio({ method: 'cosine' }, step / steps));
    const masked_N = drawMask(masks, positions, random);
    mean.add(
      await model.routing(
        prompt,
        codes!.map((code, i) => (masked_N[Math.floor(i / groups)] ? unknownToken : code)),
      ),
    );
  }
  return mean.value();
}

class MeanRouting {
  #sum: ExpertRouting[] = [];
  #steps = 0;

  add(routing: readonly ExpertRouting[]): void {
    if (this.#steps++ === 0) this.#sum = routing.map((layer) => ({ ...layer, weights: layer.weights.slice() }));
    else
      routing.forEach(({ weights }, place) => {
        const sum = this.#sum[place]!.weights;
        for (let i = 0; i < sum.length; i++) sum[i]! += weights[i]!;
      });
  }

  value(): ExpertRouting[] {
    return this.#sum.map((layer) => ({ ...layer, weights: layer.weights.map((sum) => sum / this.#steps) }));
  }
}
