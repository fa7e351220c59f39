import {
  add,
  constant,
  div,
  input,
  mul,
  type ParamScope,
  reduceSum,
  reshape,
  sqrt,
  square,
  type Tensor,
} from '@unif2ace/graph';
import { z } from 'zod';
import { denseLayer } from '../backbone/linear.ts';
import { PhiConfig, phi, phiEmbed } from '../backbone/phi.ts';
import { additiveMask } from '../prompt/masks.ts';
import { FaceCnnConfig, faceCnn } from './face-cnn.ts';

// B pictures or texts, T text tokens, D shared width, P patches, C their channels

/** A small image-text encoder in the manner of CLIP (Radford et al. 2021): a convolutional and a causal text tower. */
export const ImageTextConfig = z.strictObject({
  image: FaceCnnConfig,
  /** Text tower; its last token speaks for the text. */
  text: PhiConfig,
  /** Text tokens, end mark included. */
  textTokens: z.int().min(2),
});
export type ImageTextConfig = z.infer<typeof ImageTextConfig>;

/** Each row divided by its length. */
export function unitRows(x_BD: Tensor): Tensor {
  return div(x_BD, sqrt(add(reduceSum(square(x_BD), 1, true), 1e-8)));
}

/** Pixels [B, 3, S, S] in −1..1 → unit embedding [B, D] and patches [B, P, C], the CLIP expert's feature. */
export function imageTower(
  scope: ParamScope,
  config: ImageTextConfig,
  pixels_BCHW: Tensor,
): { image_BD: Tensor; patches_BPC: Tensor } {
  const { face_BF, patches_BPC } = faceCnn(scope.at('image'), config.image, pixels_BCHW);
  return { image_BD: unitRows(face_BF), patches_BPC };
}

/** Inputs `ids` int32 [B, T], padded on the right, and `ends` [B, T], 1 at the last token of each text → [B, D]. */
export function textTower(scope: ParamScope, config: ImageTextConfig, batch: number): Tensor {
  const { text, textTokens } = config;
  const tower = scope.at('text');
  const ids_BT = input('ids', [batch, textTokens], 'int32');
  const ends_BT1 = reshape(input('ends', [batch, textTokens]), [batch, textTokens, 1]);
  const causal = Uint8Array.from({ length: textTokens ** 2 }, (_, at) =>
    Number(at % textTokens <= Math.floor(at / textTokens)),
  );
  const mask = constant(additiveMask(causal), [1, 1, textTokens, textTokens]);
  const { hiddenStates } = phi(tower, text, phiEmbed(tower, text, ids_BT), { mask });
  const last_BD = reduceSum(mul(hiddenStates.at(-1)!, ends_BT1), 1);
  return unitRows(denseLayer(tower.at('projection'), last_BD, config.image.width, { bias: false }));
}
