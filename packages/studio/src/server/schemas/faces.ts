import { z } from '@hono/zod-openapi';
import { imageUrl } from './chat.ts';
import { face } from './common.ts';

export const FacesRequest = z.strictObject({ image: imageUrl, face }).openapi('FacesRequest');
export type FacesRequest = z.infer<typeof FacesRequest>;

const point = z.object({ x: z.number(), y: z.number() });

export const FoundFace = z
  .object({
    index: z.int().openapi({ description: 'By size from 1.' }),
    box: z.object({ x: z.number(), y: z.number(), width: z.number(), height: z.number() }),
    landmarks: z.object({ right_eye: point, left_eye: point, nose: point, right_mouth: point, left_mouth: point }),
    score: z.number().openapi({ description: 'How sure the detector is, 0 to 1.' }),
  })
  .openapi('FoundFace');

export const FacesResponse = z
  .object({
    width: z.int().openapi({ description: 'Of the upright photo in pixels, as boxes and points are.' }),
    height: z.int(),
    faces: z.array(FoundFace).openapi({ description: 'The largest first; empty when none is found.' }),
    chosen: z
      .object({
        index: z.union([z.int(), z.literal('aligned')]),
        crop: z.string().openapi({ description: 'The aligned face as the model sees it: data:image/png;base64,…' }),
        attributes: z
          .array(z.object({ name: z.string(), probability: z.number() }))
          .openapi({ description: 'Calibrated probabilities of visible attributes.' }),
      })
      .nullable()
      .openapi({ description: 'The face asked for, else the largest; null when none is found.' }),
  })
  .openapi('FacesResponse');
export type FacesResponse = z.infer<typeof FacesResponse>;
