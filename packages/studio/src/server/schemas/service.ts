import { z } from '@hono/zod-openapi';

export const ModelEntry = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: z.int(),
    owned_by: z.string(),
    unif2ace: z
      .object({
        hash: z.string().openapi({ description: 'SHA-256 of the weights, hex.' }),
        image_size: z.int().openapi({ description: 'Edge of its pictures in pixels.' }),
        token_grid: z.int().openapi({ description: 'Tokens along one side of a picture.' }),
        device: z.string(),
        attributes: z.array(z.string()).openapi({ description: 'Attributes whose probability POST /v1/faces tells.' }),
        guidance: z.number().openapi({ description: 'Of requests that do not say.' }),
        limits: z.object({
          count: z.int(),
          steps: z.int(),
          guidance: z.number(),
          temperature: z.number(),
          candidates: z.int(),
          photo_bytes: z.int(),
        }),
      })
      .openapi({ description: 'Extension.' }),
  })
  .openapi('Model');
export type ModelEntry = z.infer<typeof ModelEntry>;

export const ModelList = z.object({ object: z.literal('list'), data: z.array(ModelEntry) }).openapi('ModelList');

export const JobState = z
  .object({
    id: z.string(),
    object: z.literal('unif2ace.job'),
    status: z.enum(['queued', 'running', 'cancelled']),
  })
  .openapi('Job');

export const Health = z.object({ status: z.enum(['ok', 'starting', 'stopping', 'failed']) }).openapi('Health');
