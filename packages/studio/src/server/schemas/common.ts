import { z } from '@hono/zod-openapi';

/** Bounds of a request; what a model can do may be less. */
export const limits = {
  count: 16,
  steps: 100,
  guidance: 100,
  temperature: 100,
  candidates: 8,
  partialImages: 100,
  promptCharacters: 4000,
  messages: 64,
  /** Longest side of a picture in an answer. */
  sizePixels: 1024,
  /** Of a photo's file. */
  photoBytes: 14 * 2 ** 20,
  bodyBytes: 20 * 2 ** 20,
} as const;

/** Text without lone surrogates, which UTF-8 cannot carry. */
export const plainText = (maxCharacters: number) =>
  z
    .string()
    .max(maxCharacters)
    .refine((text) => !/\p{Surrogate}/u.test(text), { error: 'expected well-formed Unicode text' });

export const prompt = plainText(limits.promptCharacters).openapi({
  description: 'Description of the face; empty for any face. What the model cannot hold is cut at the end.',
  example: 'a smiling woman with blond hair',
});

export const modelName = z
  .string()
  .max(200)
  .nullish()
  .openapi({ description: 'A name of GET /v1/models; default: the model served.', example: 'nano' });

export const user = z
  .string()
  .max(256)
  .nullish()
  .openapi({ description: 'Accepted as the OpenAI API has it; unused.' });

export const seed = z
  .int()
  .min(0)
  .max(Number.MAX_SAFE_INTEGER)
  .nullish()
  .openapi({ description: 'Extension. Picture i depends on (seed, i) alone. Default: drawn, and told in the answer.' });

export const face = z
  .union([z.int().min(1).max(1000), z.literal('aligned')])
  .nullish()
  .openapi({
    description:
      'Extension. Which face of the photo, by size from 1. "aligned" takes the picture as the face, without a search, as ' +
      'generated pictures are. Default 1.',
  });

/** Sampling of pictures. */
export const sampling = {
  n: z.int().min(1).max(limits.count).nullish().openapi({ description: 'Pictures to make. Default 1.' }),
  seed,
  steps: z
    .int()
    .min(1)
    .max(limits.steps)
    .nullish()
    .openapi({ description: 'Extension. Denoising steps; time grows in proportion. Default 12.' }),
  guidance: z.number().min(0).max(limits.guidance).nullish().openapi({
    description:
      "Extension. How much further than learnt the words are followed; 0 is as learnt, and quicker. Default: the model's own.",
  }),
  temperature: z
    .number()
    .min(0)
    .max(limits.temperature)
    .nullish()
    .openapi({ description: 'Extension. Variety; 0 settles the most confident tokens first. Default 1.' }),
  candidates: z
    .int()
    .min(1)
    .max(limits.candidates)
    .nullish()
    .openapi({
      description:
        'Extension. Faces made for each picture, of which the model keeps the one that it finds the words likeliest of when it ' +
        'looks at them; four take about six times as long as one. Default 1.',
    }),
};

/** Settings of pictures that the OpenAI API has; those without a meaning here are accepted where that does no harm. */
export const pictureSettings = {
  size: z
    .string()
    .max(20)
    .regex(/^(?:auto|([1-9]\d{0,3})x\1)$/)
    .refine((text) => text === 'auto' || Number(text.split('x')[0]) <= limits.sizePixels)
    .nullish()
    .openapi({
      description: `"auto", the model's own size, or a square up to ${limits.sizePixels}x${limits.sizePixels} to which the picture is scaled. Default "auto".`,
      example: '256x256',
    }),
  response_format: z.literal('b64_json').nullish().openapi({ description: 'Pictures are never kept for a URL.' }),
  output_format: z.literal('png').nullish(),
  output_compression: z.int().min(0).max(100).nullish().openapi({ description: 'Unused: PNG loses nothing.' }),
  background: z.enum(['auto', 'opaque']).nullish(),
  quality: z.enum(['auto', 'standard', 'hd', 'low', 'medium', 'high']).nullish().openapi({ description: 'Unused.' }),
  stream: z.boolean().nullish().openapi({ description: 'Server-sent events instead of one document.' }),
  partial_images: z.int().min(0).max(limits.partialImages).nullish().openapi({
    description: 'With `stream`: previews of each picture, spread evenly over the steps. Default 0.',
  }),
};

export const ErrorBody = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  })
  .openapi('Error');
