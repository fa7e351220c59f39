import { z } from '@hono/zod-openapi';
import { face, limits, modelName, plainText, seed, user } from './common.ts';

const text = plainText(limits.promptCharacters);

const maxUrlCharacters = Math.ceil((limits.photoBytes * 4) / 3) + 100;

/** `data:` URL of a picture, whose type is told by its bytes; a long one arrives here as those bytes. */
export const imageUrl = z
  .custom<string | Uint8Array>(
    (value) => value instanceof Uint8Array || (typeof value === 'string' && value.length <= maxUrlCharacters),
    { error: `expected a data URL of at most ${maxUrlCharacters} characters` },
  )
  .openapi({
    type: 'string',
    maxLength: maxUrlCharacters,
    description: 'data:image/jpeg;base64,… Other addresses are refused: the server fetches nothing.',
    example: 'data:image/jpeg;base64,/9j/4AAQ…',
  });

export type Picture = z.infer<typeof imageUrl>;

const TextPart = z.strictObject({ type: z.literal('text'), text });
const ImagePart = z.strictObject({
  type: z.literal('image_url'),
  image_url: z.strictObject({ url: imageUrl, detail: z.enum(['auto', 'low', 'high', 'original']).nullish() }),
});

const name = z.string().max(64).nullish();
const textContent = z.union([text, z.array(TextPart).min(1).max(16)]);

export const ChatMessage = z
  .discriminatedUnion('role', [
    z.strictObject({
      role: z.literal('user'),
      content: z.union([
        text,
        z
          .array(z.discriminatedUnion('type', [TextPart, ImagePart]))
          .min(1)
          .max(16),
      ]),
      name,
    }),
    z.strictObject({ role: z.literal('assistant'), content: textContent.nullish(), refusal: text.nullish(), name }),
    z.strictObject({ role: z.enum(['system', 'developer']), content: textContent, name }),
  ])
  .openapi('ChatMessage');
export type ChatMessage = z.infer<typeof ChatMessage>;

export const ChatRequest = z
  .strictObject({
    model: modelName,
    messages: z
      .array(ChatMessage)
      .min(1)
      .max(limits.messages)
      .openapi({
        description:
          'The text of the last user message is the question; "Describe the face." gives a description. The last picture of ' +
          'the conversation is looked at. The model answers one question at a time: what was said before is not read.',
      }),
    stream: z.boolean().nullish(),
    stream_options: z.strictObject({ include_usage: z.boolean().nullish() }).nullish(),
    max_tokens: z.int().min(1).max(100_000).nullish(),
    max_completion_tokens: z
      .int()
      .min(1)
      .max(100_000)
      .nullish()
      .openapi({ description: 'Default: what the model can hold.' }),
    temperature: z.number().min(0).max(2).nullish().openapi({ description: 'Default 0: the most probable answer.' }),
    top_p: z.number().gt(0).max(1).nullish(),
    seed,
    face,
    n: z.literal(1).nullish(),
    response_format: z.strictObject({ type: z.literal('text') }).nullish(),
    frequency_penalty: z.literal(0).nullish(),
    presence_penalty: z.literal(0).nullish(),
    store: z.literal(false).nullish(),
    user,
  })
  .openapi('ChatCompletionRequest');
export type ChatRequest = z.infer<typeof ChatRequest>;

const finish = z.enum(['stop', 'length']);
const usage = z.object({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() });
const head = { id: z.string(), created: z.int(), model: z.string() };

export const ChatResponse = z
  .object({
    ...head,
    object: z.literal('chat.completion'),
    choices: z.array(
      z.object({
        index: z.literal(0),
        message: z.object({ role: z.literal('assistant'), content: z.string(), refusal: z.null() }),
        finish_reason: finish,
        logprobs: z.null(),
      }),
    ),
    usage,
  })
  .openapi('ChatCompletion');
export type ChatResponse = z.infer<typeof ChatResponse>;

/** `data:` of a stream, which ends with [DONE]. */
export const ChatChunk = z
  .object({
    ...head,
    object: z.literal('chat.completion.chunk'),
    choices: z.array(
      z.object({
        index: z.literal(0),
        delta: z.object({ role: z.literal('assistant').optional(), content: z.string().optional() }),
        finish_reason: finish.nullable(),
        logprobs: z.null(),
      }),
    ),
    usage: usage.nullish(),
  })
  .openapi('ChatCompletionChunk');
export type ChatChunk = z.infer<typeof ChatChunk>;
