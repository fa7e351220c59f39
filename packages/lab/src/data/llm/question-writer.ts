import { z } from 'zod';
import type { FaceToDescribe, QuestionWriter, RecordQuestion } from '../build/types.ts';
import { LlmEndpoint, type LlmEndpointOptions } from './endpoint.ts';
import { questionsPrompt } from './prompts/questions.ts';
import {
  buildRequest,
  factLines,
  type LlmRequest,
  type ReplySchema,
  replySchema,
  requestVersion,
  type SourcedFace,
  spokenFacts,
} from './request.ts';
import { spokenText } from './spoken-text.ts';

export interface LlmQuestionWriterOptions {
  /** Questions asked for; default 8 (the paper has about 1 M for 130 K images). */
  questionsPerFace?: number;
}

const kinds = ['yes-no', 'choice', 'color', 'count', 'compare', 'reason', 'unanswerable'] as const;

const questionSchema = z.object({
  kind: z.enum(kinds),
  topic: z.string().refine((text) => text.trim() !== '', 'expected a topic, got none'),
  question: spokenText.refine((text) => text.trim().endsWith('?'), 'expected a question that ends with "?"'),
  answer: spokenText,
  label: z.string().refine((text) => text.trim() !== '', 'expected a label, got none'),
  evidence: z.array(z.string()),
});

const questionsSchema = z.object({
  questions: z.array(questionSchema).refine((questions) => questions.length > 0, 'expected at least one question'),
});

type QuestionsReply = z.infer<typeof questionsSchema>;

/** Told to every face alike: endpoints compile each new JSON schema anew. */
const wireSchema = replySchema('questions', questionsSchema);

/** Questions and answers by a model, from attributes and captions alone (paper §5). */
export class LlmQuestionWriter implements QuestionWriter {
  readonly endpoint: LlmEndpoint;
  readonly version: string;
  readonly #count: string;

  constructor(endpoint: LlmEndpoint | LlmEndpointOptions, { questionsPerFace = 8 }: LlmQuestionWriterOptions = {}) {
    if (!Number.isInteger(questionsPerFace) || questionsPerFace < 1)
      throw new RangeError(`llm: expected questionsPerFace to be an integer of at least 1, got ${questionsPerFace}`);
    this.endpoint = endpoint instanceof LlmEndpoint ? endpoint : new LlmEndpoint(endpoint);
    this.#count = String(questionsPerFace);
    this.version = `llm:${requestVersion(questionsPrompt, wireSchema, this.endpoint.sampling)}x${questionsPerFace}`;
  }

  async questions(face: SourcedFace, captions: readonly string[], signal?: AbortSignal): Promise<RecordQuestion[]> {
    return (await this.endpoint.request(this.questionsRequest(face, captions), signal)).questions;
  }

  /** What `questions` asks, to be sent in a batch. */
  questionsRequest(face: SourcedFace, captions: readonly string[]): LlmRequest<QuestionsReply> {
    return buildRequest({
      prompt: questionsPrompt,
      schema: schemaFor(face),
      face,
      values: { count: this.#count, facts: factLines(face), captions: JSON.stringify(captions) },
      sampling: this.endpoint.sampling,
    });
  }
}

function schemaFor(face: FaceToDescribe): ReplySchema<QuestionsReply> {
  const names = new Set(spokenFacts(face).map(([name]) => name));
  const check = questionsSchema.superRefine(({ questions }, context) => {
    for (const [index, question] of questions.entries()) {
      const issue = disagreement(question, names);
      if (issue) context.addIssue({ code: 'custom', path: ['questions', index, issue.field], message: issue.message });
    }
  });
  return { ...wireSchema, check };
}

/** Where label or evidence do not fit the kind of question; says nothing of the answer itself. */
function disagreement(
  { kind, answer, label, evidence }: RecordQuestion,
  names: ReadonlySet<string>,
): { field: keyof RecordQuestion; message: string } | undefined {
  if (kind === 'yes-no' && !/^(?:yes|no)$/.test(label)) return { field: 'label', message: 'expected "yes" or "no"' };
  if (kind === 'yes-no' && !answer.toLowerCase().startsWith(label))
    return { field: 'answer', message: 'expected an answer that begins with the label' };
  if (kind === 'count' && !/^\d+$/.test(label)) return { field: 'label', message: 'expected a number in digits' };
  if (kind === 'unanswerable') {
    if (label !== 'unknown') return { field: 'label', message: 'expected "unknown"' };
    return evidence.length > 0 ? { field: 'evidence', message: 'expected none' } : undefined;
  }
  if (evidence.some((name) => !names.has(name)))
    return { field: 'evidence', message: 'expected only attributes that are listed' };
  if (evidence.length === 0 && names.size > 0)
    return { field: 'evidence', message: 'expected at least one of the listed attributes' };
  return undefined;
}
