import { z } from 'zod';
import type { TokenUsage } from './events.ts';
import { Fault } from './faults.ts';
import type { ReplySchema } from './request.ts';

const tokens = z.number().int().nonnegative().catch(0);

const completionSchema = z.object({
  choices: z
    .array(
      z.object({
        finish_reason: z.string().nullish(),
        message: z.object({ content: z.string().nullish(), refusal: z.string().nullish() }),
      }),
    )
    .min(1),
});

const usageSchema = z.object({ usage: z.object({ prompt_tokens: tokens, completion_tokens: tokens }) });

/** Tokens billed for a reply, usable or not; none where the endpoint does not tell. */
export function usageOf(completion: unknown): TokenUsage {
  const { data } = usageSchema.safeParse(completion);
  return { inputTokens: data?.usage.prompt_tokens ?? 0, outputTokens: data?.usage.completion_tokens ?? 0 };
}

const maxIssuesTold = 5;

/**
 * The answer in a chat completion.
 *
 * @throws Fault for anything else than JSON of the schema.
 */
export function readReply<T>(completion: unknown, schema: ReplySchema<T>): T {
  const { data } = completionSchema.safeParse(completion);
  const choice = data?.choices[0];
  if (!choice) throw new Fault('server', { status: 200 });
  const { finish_reason: finish, message } = choice;
  if (message.refusal || finish === 'content_filter') throw new Fault('refused', { status: 200 });
  const answer = message.content?.trim() ?? '';
  const cutOff = () =>
    new Fault('cut-off', { status: 200, complaint: 'it was cut off at the length limit; be shorter' });
  if (answer === '') throw finish === 'length' ? cutOff() : new Fault('empty', { status: 200 });
  const json = parseJson(answer);
  if (json === undefined) {
    if (finish === 'length') throw cutOff();
    throw new Fault('prose', { status: 200, complaint: 'it is not JSON', answer });
  }
  const checked = schema.check.safeParse(json);
  if (checked.success) return checked.data;
  const issues = checked.error.issues.slice(0, maxIssuesTold);
  const complaint = issues.map(({ path, message: text }) => `${path.join('.') || 'the reply'}: ${text}`).join('; ');
  throw new Fault('schema', { status: 200, complaint, answer });
}

/** JSON, alone or inside other words (code fences, a thought before it). */
function parseJson(text: string): unknown {
  for (const candidate of [text, text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)])
    try {
      return JSON.parse(candidate);
    } catch {}
  return undefined;
}
