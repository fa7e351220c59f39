import { createHash } from 'node:crypto';
import { Philox } from '@unif2ace/graph';
import { z } from 'zod';
import type { Asking, FaceToDescribe, FactSource } from '../build/types.ts';
import { unspokenAttributes } from '../grammar/attributes.ts';
import { fillTemplate, type Prompt, promptVersion } from './prompts/prompt.ts';

/** What an answer must look like: told to the model as JSON schema, checked by `check`. */
export interface ReplySchema<T> {
  name: string;
  json: Record<string, unknown>;
  check: z.ZodType<T>;
}

/** `check` may ask for more than a JSON schema can say. */
export function replySchema<T>(name: string, check: z.ZodType<T>): ReplySchema<T> {
  const { $schema: _, ...json } = z.toJSONSchema(check);
  return { name, json, check };
}

/** One question to the model about one face. */
export interface LlmRequest<T> {
  /** Name under which the result is kept: 32 hex digits. The same question has the same key in every run. */
  key: string;
  task: string;
  faceId: string;
  system: string;
  text: string;
  /** JPEG. */
  image?: Uint8Array;
  schema: ReplySchema<T>;
  seed?: number;
  asking?: Asking;
}

/** A face whose facts may carry where they come from; without it they count as labels. */
export type SourcedFace = FaceToDescribe & { factSources?: Readonly<Record<string, FactSource>> };

/** Attributes that may be put into words, in fixed order. */
export function spokenFacts(face: FaceToDescribe): [string, boolean][] {
  return Object.entries(face.facts)
    .filter(([name]) => !(unspokenAttributes as readonly string[]).includes(name))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** "- Smiling: no (classifier, 93 %)" */
export function factLines(face: SourcedFace): string {
  const lines = spokenFacts(face).map(([name, value]) => {
    const source = face.factSources?.[name];
    // Of the attribute or of the statement: either way this sure that the statement is right
    const percent = source && Math.round(100 * Math.max(source.probability, 1 - source.probability));
    return `- ${name}: ${value ? 'yes' : 'no'} (${source?.from === 'classifier' ? `classifier, ${percent} %` : 'label'})`;
  });
  return lines.length > 0 ? lines.join('\n') : '(none)';
}

interface RequestParts<T> {
  prompt: Prompt;
  schema: ReplySchema<T>;
  face: FaceToDescribe;
  values: Readonly<Record<string, string>>;
  image?: Uint8Array;
  /** Model and sampling, as far as they change the answer. */
  sampling: SamplingChoice;
}

/** What changes the answers of a model besides the prompt. */
export interface SamplingChoice {
  model: string;
  temperature?: number;
  seed?: number;
}

/** "model#caption-v1-3f2a9c01": names everything but the face that an answer depends on. */
export function requestVersion(prompt: Prompt, schema: ReplySchema<unknown>, sampling: SamplingChoice): string {
  const { model, temperature, seed } = sampling;
  const chosen = [
    temperature !== undefined && `temperature ${temperature}`,
    seed !== undefined && `seed ${seed}`,
    promptVersion(prompt, schema.json),
  ];
  return `${model}#${chosen.filter(Boolean).join('#')}`;
}

export function buildRequest<T>({ prompt, schema, face, values, image, sampling }: RequestParts<T>): LlmRequest<T> {
  const { system } = prompt;
  const text = fillTemplate(prompt.user, values);
  const hash = createHash('sha256').update(
    JSON.stringify([requestVersion(prompt, schema, sampling), face.id, face.seed, system, text]),
  );
  if (image) hash.update(image);
  return {
    key: hash.digest('hex').slice(0, 32),
    task: prompt.name,
    faceId: face.id,
    system,
    text,
    schema,
    ...(image && { image }),
    ...(face.asking && { asking: face.asking }),
    // 31 bits: some servers keep it in a signed word
    ...(sampling.seed !== undefined && { seed: new Philox(sampling.seed, face.seed).uint32() >>> 1 }),
  };
}
