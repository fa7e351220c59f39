import { randomUUID } from 'node:crypto';
import { questionPrompt } from '@unif2ace/core';
import { readJson } from '../body.ts';
import type { AskRequest, TextWatch } from '../engine.ts';
import { invalid, parse } from '../errors.ts';
import { pictureBytes } from '../pictures.ts';
import { type ChatChunk, type ChatMessage, ChatRequest, type ChatResponse } from '../schemas/chat.ts';
import type { Client, Service } from '../service.ts';

/** A conversation that has been read and checked. */
interface Question {
  ask: AskRequest;
  stream: boolean;
  includeUsage: boolean;
  promptTokens: number;
}

export async function chatCompletions(service: Service, client: Client): Promise<Response> {
  const question = await service.budget.hold(async (take) => {
    const body = parse(ChatRequest, await readJson(service.bodies, client.request, take));
    service.requireModel(body.model);
    return read(service, body);
  });
  return answer(service, client, question);
}

function textOf(message: ChatMessage): string {
  const { content } = message;
  if (content == null) return '';
  if (typeof content === 'string') return content;
  return content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
}

async function read(service: Service, body: ChatRequest): Promise<Question> {
  const { messages } = body;
  const asked = messages.findLast(({ role }) => role === 'user');
  const text = asked ? textOf(asked).trim() : '';
  if (text === '') throw invalid('messages', 'expected a user message with a question, got none');
  const url = messages
    .flatMap(({ content }, m) =>
      Array.isArray(content)
        ? content.flatMap((part, p) =>
            part.type === 'image_url'
              ? [{ url: part.image_url.url, at: `messages.${m}.content.${p}.image_url.url` }]
              : [],
          )
        : [],
    )
    .at(-1);
  if (!url) throw invalid('messages', 'expected a picture as an image_url part, got none');
  const { engine } = service;
  const promptTokens = engine.countTokens(questionPrompt(text));
  const room = engine.info.answerTokens - 3;
  if (promptTokens > room)
    throw invalid('messages', `expected a question of at most ${room} tokens, got ${promptTokens}; try fewer words`);
  const { width, height, data } = await service.bodies.photo(pictureBytes(url.url, url.at), url.at);
  const maxTokens = body.max_completion_tokens ?? body.max_tokens;
  const ask: AskRequest = {
    photo: { width, height, data },
    face: body.face ?? 1,
    question: text,
    temperature: body.temperature ?? 0,
    topP: body.top_p ?? 1,
    seed: body.seed ?? 0,
    ...(maxTokens != null && { maxTokens }),
  };
  return { ask, stream: body.stream ?? false, includeUsage: body.stream_options?.include_usage ?? false, promptTokens };
}

async function answer(service: Service, client: Client, question: Question): Promise<Response> {
  const { ask, promptTokens } = question;
  const { engine, metrics } = service;
  service.notePrompt('ask', ask.question);
  const head = {
    id: `chatcmpl-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model: engine.info.name,
  };
  const run = (onText: TextWatch['onText']) => async (signal: AbortSignal) => {
    const { text, finish } = await engine.ask(ask, { signal, onText });
    const completion = engine.countTokens(text);
    metrics.tokens.inc({ kind: 'prompt' }, promptTokens);
    metrics.tokens.inc({ kind: 'answer' }, completion);
    const usage = {
      prompt_tokens: promptTokens,
      completion_tokens: completion,
      total_tokens: promptTokens + completion,
    };
    return { text, finish, usage };
  };

  if (!question.stream) {
    const job = service.queue.submit(
      'ask',
      run(() => {}),
      { signal: client.request.signal },
    );
    const { text, finish, usage } = await job.result;
    const message = { role: 'assistant', content: text, refusal: null } as const;
    const body: ChatResponse = {
      ...head,
      object: 'chat.completion',
      choices: [{ index: 0, message, finish_reason: finish, logprobs: null }],
      usage,
    };
    return Response.json(body, { headers: { 'x-unif2ace-job': job.id } });
  }

  const stream = service.openStream(client);
  const choice = { index: 0, logprobs: null } as const;
  const send = (choices: ChatChunk['choices'], usage?: ChatChunk['usage']) => {
    const chunk: ChatChunk = {
      ...head,
      object: 'chat.completion.chunk',
      choices,
      ...(question.includeUsage && { usage: usage ?? null }),
    };
    stream.send(null, chunk);
  };
  const say = (delta: ChatChunk['choices'][number]['delta'], finish: 'stop' | 'length' | null = null) =>
    send([{ ...choice, delta, finish_reason: finish }]);
  const job = service.queue.submit(
    'ask',
    run((content) => say({ content })),
    {
      signal: AbortSignal.any([stream.signal, client.request.signal]),
      onPosition: (position) => stream.comment(`queued ${position}`, 'queued'),
    },
  );
  return service.stream(
    { 'x-unif2ace-job': job.id },
    async () => {
      say({ role: 'assistant', content: '' });
      const { finish, usage } = await job.result;
      say({}, finish);
      if (question.includeUsage) send([], usage);
    },
    stream,
  );
}
