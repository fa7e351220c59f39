import { z } from 'zod';
import type { Captioner } from '../build/types.ts';
import { LlmEndpoint, type LlmEndpointOptions } from './endpoint.ts';
import { captionPrompt } from './prompts/caption.ts';
import { refinePrompt } from './prompts/refine.ts';
import { buildRequest, factLines, type LlmRequest, replySchema, requestVersion, type SourcedFace } from './request.ts';
import { spokenText } from './spoken-text.ts';

export interface LlmCaptionerOptions {
  /** Wordings asked for, the main one included; default 3. */
  captionsPerFace?: number;
}

const captionsSchema = replySchema(
  'captions',
  z.object({ captions: z.array(spokenText).refine((texts) => texts.length > 0, 'expected at least one caption') }),
);

type CaptionsReply = z.infer<typeof captionsSchema.check>;

/** Captions by a model that sees the face: described first, then corrected by the face's attributes (paper §5). */
export class LlmCaptioner implements Captioner {
  readonly endpoint: LlmEndpoint;
  readonly version: string;
  readonly #count: string;

  constructor(endpoint: LlmEndpoint | LlmEndpointOptions, { captionsPerFace = 3 }: LlmCaptionerOptions = {}) {
    if (!Number.isInteger(captionsPerFace) || captionsPerFace < 1)
      throw new RangeError(`llm: expected captionsPerFace to be an integer of at least 1, got ${captionsPerFace}`);
    this.endpoint = endpoint instanceof LlmEndpoint ? endpoint : new LlmEndpoint(endpoint);
    this.#count = String(captionsPerFace);
    const parts = [captionPrompt, refinePrompt].map((prompt) =>
      requestVersion(prompt, captionsSchema, this.endpoint.sampling),
    );
    this.version = `llm:${parts.join('+')}x${captionsPerFace}`;
  }

  async caption(face: SourcedFace, signal?: AbortSignal): Promise<string[]> {
    return (await this.endpoint.request(await this.captionRequest(face), signal)).captions;
  }

  async refine(face: SourcedFace, captions: readonly string[], signal?: AbortSignal): Promise<string[]> {
    return (await this.endpoint.request(await this.refineRequest(face, captions), signal)).captions;
  }

  /** What `caption` asks, to be sent in a batch. */
  async captionRequest(face: SourcedFace): Promise<LlmRequest<CaptionsReply>> {
    return buildRequest({
      prompt: captionPrompt,
      schema: captionsSchema,
      face,
      image: await face.image(),
      values: { count: this.#count, sourceCaption: JSON.stringify(face.sourceCaption ?? '') },
      sampling: this.endpoint.sampling,
    });
  }

  /** What `refine` asks, to be sent in a batch. */
  async refineRequest(face: SourcedFace, captions: readonly string[]): Promise<LlmRequest<CaptionsReply>> {
    return buildRequest({
      prompt: refinePrompt,
      schema: captionsSchema,
      face,
      image: await face.image(),
      values: { facts: factLines(face), captions: JSON.stringify(captions) },
      sampling: this.endpoint.sampling,
    });
  }
}
