import { z } from '@hono/zod-openapi';
import { imageUrl } from './chat.ts';
import { face, limits, modelName, prompt, sampling } from './common.ts';

const { seed, steps, guidance, temperature } = sampling;

export const RoutingRequest = z
  .strictObject({
    prompt,
    model: modelName,
    seed: seed.openapi({
      description: 'Of the generated face; with `image`, what draws which positions are masked. Default 0.',
    }),
    index: z
      .int()
      .min(0)
      .max(limits.count - 1)
      .nullish()
      .openapi({ description: 'Place of the generated face in its request, from 0. Default 0.' }),
    steps,
    guidance,
    temperature,
    image: imageUrl.nullish().openapi({
      type: ['string', 'null'],
      description:
        'Any picture of a face, in place of one that is made again by its settings: its tokens are masked at random as in ' +
        'training, ever fewer of them. `index`, `guidance` and `temperature` are unused then.',
    }),
    face,
  })
  .openapi('RoutingRequest');
export type RoutingRequest = z.infer<typeof RoutingRequest>;

const gates = z.array(z.number());
const layer = {
  layer: z.int().openapi({ description: 'From 0.' }),
  experts: z.array(z.string()).openapi({ description: 'A name for each expert: "expert 3", "noise".' }),
};

export const RoutingResponse = z
  .object({
    task: z.literal('t2i').openapi({ description: 'Group of experts: those of generation.' }),
    token_grid: z.int().openapi({ description: 'Positions along one side of the picture.' }),
    steps: z.int().openapi({ description: 'Denoising steps over which the weights are means.' }),
    layers: z.array(
      z.discriminatedUnion('level', [
        z.object({
          level: z.literal('token'),
          ...layer,
          weights: z.array(gates).openapi({ description: 'Gate weight of each expert at each position, row by row.' }),
        }),
        z.object({
          level: z.literal('sequence'),
          ...layer,
          weights: gates.openapi({ description: 'Gate weight of each expert, the same for the whole picture.' }),
        }),
      ]),
    ),
  })
  .openapi('RoutingResponse');
export type RoutingResponse = z.infer<typeof RoutingResponse>;
