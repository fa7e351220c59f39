import { z } from '@hono/zod-openapi';
import { face, limits, modelName, pictureSettings, prompt, sampling, user } from './common.ts';

export const GenerationRequest = z
  .strictObject({
    prompt,
    model: modelName,
    ...sampling,
    ...pictureSettings,
    style: z.enum(['vivid', 'natural']).nullish().openapi({ description: 'Unused.' }),
    moderation: z.enum(['low', 'auto']).nullish().openapi({ description: 'Unused.' }),
    user,
  })
  .openapi('ImageGenerationRequest');
export type GenerationRequest = z.infer<typeof GenerationRequest>;

/** Fields of a form are text: numbers and booleans are read from it, "null" and empty fields count as left out. */
function fromText<S extends z.ZodType>(schema: S) {
  return z.preprocess((given) => {
    if (typeof given !== 'string') return given;
    const text = given.trim();
    if (text === '' || text === 'null') return undefined;
    if (text === 'true' || text === 'false') return text === 'true';
    return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text) ? Number(text) : text;
  }, schema);
}

const { n, seed, steps, guidance, temperature, candidates } = sampling;
const { stream, partial_images, output_compression } = pictureSettings;

const box = /^(\d{1,5}),(\d{1,5}),(\d{1,5}),(\d{1,5})$/;

/** Text fields of an edit; `image` and `mask` are files beside them. */
export const EditFields = z
  .strictObject({
    prompt,
    model: modelName,
    n: fromText(n),
    seed: fromText(seed),
    steps: fromText(steps),
    guidance: fromText(guidance),
    temperature: fromText(temperature),
    candidates: fromText(candidates),
    ...pictureSettings,
    stream: fromText(stream),
    partial_images: fromText(partial_images),
    output_compression: fromText(output_compression),
    face: fromText(face),
    region: z
      .union([z.enum(['hair', 'eyes', 'mouth']), z.string().max(30).regex(box)])
      .nullish()
      .openapi({
        description:
          'Extension. What is made anew: hair, eyes, mouth, or a rectangle "x,y,width,height" in pixels of the upright photo. ' +
          'Either this or `mask` is needed.',
      }),
    input_fidelity: z.enum(['high', 'low']).nullish().openapi({ description: 'Unused: what is not chosen is kept.' }),
    user,
  })
  .openapi('ImageEditFields');
export type EditFields = z.infer<typeof EditFields>;

const file = z.any().openapi({ type: 'string', format: 'binary' });

/** The form as the API description shows it. */
export const EditRequest = EditFields.extend({
  image: file.openapi({
    description: `A photo with a face: JPEG, PNG, WebP, GIF, TIFF or AVIF, at most ${limits.photoBytes / 2 ** 20} MiB. "image[]" with one file works too.`,
  }),
  mask: file.optional().openapi({
    description:
      "A picture of the photo's size: transparent where the face is made anew, or, without transparent pixels, white where.",
  }),
}).openapi('ImageEditRequest');

/** Rectangle of the text form. */
export function regionOf(
  text: string,
): 'hair' | 'eyes' | 'mouth' | { x: number; y: number; width: number; height: number } {
  const found = box.exec(text);
  if (!found) return text as 'hair' | 'eyes' | 'mouth';
  const [x, y, width, height] = found.slice(1).map(Number) as [number, number, number, number];
  return { x, y, width, height };
}

const usage = z.object({
  input_tokens: z.int(),
  input_tokens_details: z.object({ text_tokens: z.int(), image_tokens: z.int() }),
  output_tokens: z.int(),
  total_tokens: z.int(),
});

const made = {
  background: z.literal('opaque'),
  output_format: z.literal('png'),
  quality: z.literal('auto'),
  size: z.string().openapi({ description: 'width x height in pixels', example: '64x64' }),
};

export const ImagesResponse = z
  .object({
    created: z.int().openapi({ description: 'Seconds since 1970.' }),
    data: z.array(z.object({ b64_json: z.string() })),
    ...made,
    usage,
    unif2ace: z
      .object({
        job: z.string(),
        seed: z.int(),
        model: z.object({ name: z.string(), hash: z.string() }),
        elapsed_ms: z.int(),
        notes: z.array(z.string()).openapi({ description: 'For example that the prompt was cut.' }),
      })
      .openapi({ description: 'Extension.' }),
  })
  .openapi('ImagesResponse');
export type ImagesResponse = z.infer<typeof ImagesResponse>;

const picture = {
  ...made,
  created_at: z.int(),
  b64_json: z.string(),
  index: z.int().openapi({ description: 'Extension. Picture of the request, from 0.' }),
};

/** Events of a stream; `event:` of each is its `type`. */
export const ImageStreamEvent = z
  .discriminatedUnion('type', [
    z.object({
      type: z.literal('unif2ace.queued'),
      job: z.string(),
      position: z.int().openapi({ description: 'Requests before this one; 0 when its turn has come.' }),
    }),
    z.object({
      type: z.literal('unif2ace.step'),
      job: z.string(),
      step: z.int(),
      steps: z.int(),
      images: z.array(
        z.object({
          index: z.int(),
          masked: z
            .string()
            .openapi({ description: 'A digit for each token of the picture, row by row: 1 while it is masked.' }),
        }),
      ),
    }),
    z.object({
      type: z.enum(['image_generation.partial_image', 'image_edit.partial_image']),
      partial_image_index: z.int(),
      ...picture,
    }),
    z.object({
      type: z.enum(['image_generation.completed', 'image_edit.completed']),
      ...picture,
      usage,
      unif2ace: ImagesResponse.shape.unif2ace,
    }),
  ])
  .openapi('ImageStreamEvent');
export type ImageStreamEvent = z.infer<typeof ImageStreamEvent>;
