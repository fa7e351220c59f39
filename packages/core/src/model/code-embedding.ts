import { add, input, type ParamScope, reduceSum, reshape, slice, type Tensor } from '@unif2ace/graph';
import { phiEmbed } from '../backbone/phi.ts';
import { replaceSpan } from '../backbone/span.ts';
import type { ModelConfig } from './config.ts';

// B batch, L sequence, N image positions, G codes of a position, D hidden

/**
 * Embeddings [B, L, D] of ids whose image span holds the first code of each position. With several codes a position those of
 * the others, from the input `othersName` int32 [B, N·(G−1)], are added to it.
 */
export function embedImage(
  scope: ParamScope,
  config: ModelConfig,
  ids_BL: Tensor,
  { start, length }: { start: number; length: number },
  othersName: string,
): Tensor {
  const { phi } = config.backbone;
  const embeds_BLD = phiEmbed(scope, phi, ids_BL);
  const others = config.tokenizer.codeGroups - 1;
  if (others === 0) return embeds_BLD;
  const batch = ids_BL.dim(0);
  const ids_BM = input(othersName, [batch, length * others], 'int32');
  const added_BND = reduceSum(reshape(phiEmbed(scope, phi, ids_BM), [batch, length, others, phi.hiddenSize]), 2);
  return replaceSpan(embeds_BLD, start, add(slice(embeds_BLD, 1, start, start + length), added_BND));
}
