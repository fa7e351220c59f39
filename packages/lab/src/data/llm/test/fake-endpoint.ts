import type { AddressInfo, Socket } from 'node:net';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { RecordQuestion } from '../../build/types.ts';

/** How one request is answered. */
export type Answer =
  | 'ok'
  | 'hang'
  /** The connection breaks within the body. */
  | 'cut'
  | 'prose'
  | 'fenced'
  | 'wrong-schema'
  | 'empty'
  | 'too-long'
  | 'refusal'
  | 'content-filter'
  | 'no-completion'
  /** 400 that names response_format. */
  | 'unstructured'
  | { status: number; headers?: Record<string, string>; code?: string };

interface SeenRequest {
  /** The request's own key, without the suffix of a corrected one. */
  key: string;
  idempotencyKey: string;
  apiKey: string;
  answer: Answer;
  /** A usable answer was given in full. */
  completed: boolean;
  body: Body;
}

export type AskedRequest = Omit<SeenRequest, 'answer' | 'completed'>;

interface Body {
  model: string;
  messages: { role: string; content: string | { type: string; image_url?: { url: string }; text?: string }[] }[];
  response_format?: unknown;
  seed?: number;
}

interface FakeBatch {
  id: string;
  created_at: number;
  status: string;
  metadata: Record<string, string>;
  input_file_id: string;
  output_file_id?: string;
  error_file_id?: string;
}

/** A question that every photo bears. */
export const shoesQuestion: RecordQuestion = {
  kind: 'unanswerable',
  topic: 'shoes',
  question: 'What shoes does the person wear?',
  answer: 'The photo does not show that.',
  label: 'unknown',
  evidence: [],
};

/** Captions or questions, whichever a request wants, that suit every photo. */
export function plainContent({ response_format }: Pick<Body, 'response_format'>): object {
  return JSON.stringify(response_format).includes('"questions"')
    ? { questions: [shoesQuestion] }
    : { captions: ['The photo shows the face of a person.'] };
}

export interface FakeEndpoint {
  baseURL: string;
  /** Chat requests in the order they came. */
  seen: SeenRequest[];
  /** Usable answers given in full, by key: what a user would be sorry to pay for twice. */
  completed: Map<string, number>;
  /** Most requests at the same time. */
  busiest: number;
  files: Map<string, string>;
  batches: FakeBatch[];
  /** Answers for the calls of the batch service, first to last: a status, 'cut' once the call has had its effect, 0 for no fault. */
  batchFaults: (number | 'cut')[];
  /** Ends a batch: each line answered as told, or left without an answer. */
  finish(batch: FakeBatch, answer: (key: string) => Answer | 'expired', status?: string): void;
  close(): Promise<void>;
}

const usage = { prompt_tokens: 1000, completion_tokens: 100 };

interface Options {
  answer: (request: AskedRequest) => Answer;
  /** Usable content. */
  content: (body: Body) => unknown;
  latencyMs?: number;
}

/** An OpenAI-compatible server on this host that fails as told. */
export async function fakeEndpoint({ answer, content, latencyMs = 0 }: Options): Promise<FakeEndpoint> {
  const app = new Hono<{ Bindings: { outgoing: { socket: Socket; flushHeaders(): void } } }>();
  let busy = 0;
  let ids = 0;
  const bodyOf = (chosen: Answer, body: Body) => completionFor(chosen, () => JSON.stringify(content(body)));

  app.post('/v1/chat/completions', async (context) => {
    const body = (await context.req.json()) as Body;
    const idempotencyKey = context.req.header('idempotency-key') ?? '';
    const apiKey = context.req.header('authorization')?.replace('Bearer ', '') ?? '';
    const asked = { key: idempotencyKey.split('-')[0]!, idempotencyKey, apiKey, body };
    const chosen = answer(asked);
    const seen: SeenRequest = { ...asked, answer: chosen, completed: false };
    fake.seen.push(seen);
    fake.busiest = Math.max(fake.busiest, ++busy);
    try {
      if (latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, latencyMs));
      if (chosen === 'hang')
        await new Promise<void>((resolve) => context.req.raw.signal.addEventListener('abort', () => resolve()));
    } finally {
      busy--;
    }
    if (typeof chosen === 'object') {
      const error = { message: `no: ${JSON.stringify(body.messages)}`, code: chosen.code ?? null };
      return context.json({ error }, chosen.status as ContentfulStatusCode, chosen.headers ?? {});
    }
    if (chosen === 'unstructured' && body.response_format)
      return context.json({ error: { message: 'response_format is not supported', code: null } }, 400);
    const text = JSON.stringify(bodyOf(chosen, body));
    if (chosen === 'cut') return cutWithin(text, context.env.outgoing.socket);
    if (usable.has(chosen)) {
      seen.completed = true;
      fake.completed.set(seen.key, (fake.completed.get(seen.key) ?? 0) + 1);
    }
    return context.body(text, 200, { 'content-type': 'application/json' });
  });

  app.use('/v1/:service{files|batches}/*', async (context, next) => {
    const fault = fake.batchFaults.shift();
    if (typeof fault === 'number' && fault > 0)
      return context.json({ error: { message: 'no' } }, fault as ContentfulStatusCode);
    await next();
    if (fault === 'cut') context.env.outgoing.socket.destroy();
  });
  app.post('/v1/files', async (context) => {
    const file = (await context.req.formData()).get('file') as File;
    const id = `file-${++ids}`;
    fake.files.set(id, await file.text());
    return context.json({ id, object: 'file' });
  });
  app.post('/v1/batches', async (context) => {
    const { input_file_id, metadata } = (await context.req.json()) as FakeBatch;
    const created_at = Math.floor(Date.now() / 1000);
    const batch: FakeBatch = { id: `batch-${++ids}`, created_at, status: 'in_progress', metadata, input_file_id };
    fake.batches.unshift(batch);
    return context.json(batch);
  });
  app.get('/v1/batches', (context) => {
    // Two a page, so that pages matter
    const from = fake.batches.findIndex(({ id }) => id === context.req.query('after')) + 1;
    const data = fake.batches.slice(from, from + 2);
    return context.json({ object: 'list', data, has_more: from + 2 < fake.batches.length });
  });
  app.get('/v1/batches/:id', (context) => {
    const batch = fake.batches.find(({ id }) => id === context.req.param('id'));
    return batch ? context.json(batch) : context.json({ error: { message: 'no such batch' } }, 404);
  });
  app.get('/v1/files/:id/content', (context) => context.body(fake.files.get(context.req.param('id')) ?? ''));

  const server = await new Promise<ReturnType<typeof serve>>((resolve) => {
    const started = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, () => resolve(started));
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const fake: FakeEndpoint = {
    baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    seen: [],
    completed: new Map(),
    busiest: 0,
    files: new Map(),
    batches: [],
    batchFaults: [],
    finish(batch, answerLine, status = 'completed') {
      const [output, errors]: string[][] = [[], []];
      for (const text of fake.files.get(batch.input_file_id)!.trim().split('\n')) {
        const { custom_id, body } = JSON.parse(text) as { custom_id: string; body: Body };
        const chosen = answerLine(custom_id);
        if (chosen === 'expired') errors!.push(line(custom_id, null, { code: 'batch_expired', message: 'expired' }));
        else if (typeof chosen === 'object')
          errors!.push(line(custom_id, { status_code: chosen.status, body: { error: { message: 'no' } } }));
        else if (chosen === 'unstructured' && body.response_format)
          errors!.push(line(custom_id, { status_code: 400, body: { error: { message: 'no response_format' } } }));
        else {
          if (usable.has(chosen)) fake.completed.set(custom_id, (fake.completed.get(custom_id) ?? 0) + 1);
          output!.push(line(custom_id, { status_code: 200, body: bodyOf(chosen, body) }));
        }
      }
      batch.output_file_id = `${batch.id}-output`;
      batch.error_file_id = `${batch.id}-errors`;
      fake.files.set(batch.output_file_id, output!.join(''));
      fake.files.set(batch.error_file_id, errors!.join(''));
      batch.status = status;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return fake;
}

const usable = new Set<Answer>(['ok', 'fenced', 'unstructured']);

const line = (custom_id: string, response: unknown, error: unknown = null) =>
  `${JSON.stringify({ id: 'line', custom_id, response, error })}\n`;

function completionFor(answer: Answer, content: () => string): unknown {
  const completion = (message: unknown, finish_reason = 'stop') => ({
    object: 'chat.completion',
    choices: [{ index: 0, message, finish_reason }],
    usage,
  });
  switch (answer) {
    case 'prose':
      return completion({ content: 'Of course! The photo shows a {nice} person.' });
    case 'fenced':
      return completion({ content: `Here it is:\n\`\`\`json\n${content()}\n\`\`\`` });
    case 'wrong-schema':
      return completion({ content: '{"captions": "a secret answer", "questions": 3}' });
    case 'empty':
      return completion({ content: '' });
    case 'too-long':
      return completion({ content: content().slice(0, 15) }, 'length');
    case 'refusal':
      return completion({ content: null, refusal: "I'm sorry, I can't help with that." });
    case 'content-filter':
      return completion({ content: null }, 'content_filter');
    case 'no-completion':
      return { status: 'fine' };
    default:
      return completion({ content: content() });
  }
}

/** Half of a body, then the connection is gone. */
function cutWithin(text: string, socket: Socket): Response {
  const half = new TextEncoder().encode(text.slice(0, text.length / 2));
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(half);
      setTimeout(() => socket.destroy(), 5);
    },
  });
  return new Response(body, { headers: { 'content-type': 'application/json' } });
}

/** A store in memory whose writes take a moment. */
export class MemoryStore {
  readonly values = new Map<string, string>();

  async get(key: string): Promise<unknown> {
    const text = this.values.get(key);
    return text === undefined ? undefined : JSON.parse(text);
  }

  async put(key: string, value: unknown): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 1));
    this.values.set(key, JSON.stringify(value));
  }
}

/** Time that passes only by sleeping. */
export class FakeClock {
  #nowMs = Date.parse('2026-01-01T00:00:00Z');
  readonly slept: number[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const untilMs = this.#nowMs + ms;
    this.slept.push(ms);
    await new Promise((resolve) => setImmediate(resolve));
    signal.throwIfAborted();
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }
}
