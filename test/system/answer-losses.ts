import {
  additiveMask,
  type ImageIds,
  imageTokens,
  type LoadedModel,
  layoutOf,
  mmuLoss,
  packedAnswers,
  packedVisibility,
  type Turn,
} from '@unif2ace/core';
import { buildModel, float32, int32, ParamScope, type TensorValues } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';

/**
 * Cross-entropy of each text token of one sequence in the graph that is trained, with its label.
 * @param features `face` and `clip`, as the encoders give them.
 */
export async function answerLosses(
  { config, weights }: Pick<LoadedModel, 'config' | 'weights'>,
  image: ImageIds,
  features: TensorValues,
  turns: readonly Turn[],
  slots: readonly number[],
): Promise<{ losses: Float32Array; labels: number[] }> {
  const { rows } = mmuLoss(new ParamScope(), config, { batch: 1, slots });
  const session = await directRuntime().createSession(buildModel({ rows }, { parameters: weights }));
  const prefix = imageTokens(config) + 3;
  const { ids, labels } = packedAnswers(layoutOf(config), image.first, turns, slots);
  const counted = labels.slice(prefix);
  const feeds: TensorValues = {
    'mmu.ids': int32(ids, [1, ids.length]),
    'mmu.mask': float32(additiveMask(packedVisibility(prefix, slots)), [1, 1, ids.length, ids.length]),
    'mmu.targets': int32(
      counted.map((label) => Math.max(0, label)),
      [counted.length],
    ),
    'mmu.face': features.face!,
    'mmu.clip': features.clip!,
    ...(image.others.length > 0 && { 'mmu.others': int32(image.others, [1, image.others.length]) }),
  };
  const used = Object.fromEntries(Object.entries(feeds).filter(([name]) => session.inputNames.includes(name)));
  const result = await session.run(used);
  await session.release();
  return { losses: result.rows!.data as Float32Array, labels: counted };
}
