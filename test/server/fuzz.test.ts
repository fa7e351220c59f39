import { openFaceDetector } from '@unif2ace/core/node';
import { directRuntime } from '@unif2ace/graph/node';
import { LocalEngine } from '@unif2ace/studio/server';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyModel } from '../system/tiny-model.ts';
import { dataUrl, HeldEngine, inProcess, testPng } from './support.ts';

// Requests drawn from the published schema, one part of each made wrong at random.

interface JsonSchema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  minItems?: number;
  maxItems?: number;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  pattern?: string;
}

interface Description {
  paths: Record<string, Record<string, { requestBody?: { content: Record<string, { schema: JsonSchema }> } }>>;
  components: { schemas: Record<string, JsonSchema> };
}

type App = Awaited<ReturnType<typeof inProcess>>;

let cheap: App;
let description: Description;
let real: { app: App; close(): Promise<void> };
const png = testPng(8);

beforeAll(async () => {
  cheap = await inProcess(new HeldEngine({ open: true }));
  description = (await (await cheap.request('/openapi.json')).json()) as Description;
  const engine = new LocalEngine(tinyModel(), null, directRuntime({ intraOpThreads: 1 }), openFaceDetector);
  real = { app: await inProcess(engine), close: () => engine.close() };
});
afterAll(() => real.close());

const url = dataUrl(png);
const addresses = fc.constantFrom(
  url,
  url,
  url,
  url.slice(0, 60),
  'https://example.com/a.png',
  'file:///etc/passwd',
  'data:image/svg+xml,<svg/>',
  'data:,',
  '',
);
const hostile = fc.oneof(
  fc.constantFrom<unknown[]>(
    null,
    true,
    '',
    -1,
    0,
    0.5,
    1e308,
    -0,
    2 ** 53,
    Number.MAX_SAFE_INTEGER,
    '<|endoftext|><|soi|><|t2i|>',
    '\ud800',
    '\0',
    'x'.repeat(5000),
    '../../etc/passwd',
    '1,1,1,1',
    '99999x99999',
    'NaN',
    [],
    [[[[[]]]]],
    {},
    { length: 1e9 },
    { toString: 1, valueOf: null },
  ),
  fc.jsonValue(),
  fc.string({ unit: 'binary' }),
);

/** A schema with references followed and parts joined. */
function resolved(schema: JsonSchema): JsonSchema {
  if (schema.$ref) return resolved(description.components.schemas[schema.$ref.split('/').at(-1)!]!);
  if (!schema.allOf) return schema;
  const parts = schema.allOf.map(resolved);
  return {
    type: 'object',
    properties: Object.assign({}, ...parts.map(({ properties }) => properties)),
    required: parts.flatMap(({ required }) => required ?? []),
  };
}

/** Values of a schema. */
function valuesOf(given: JsonSchema, name = ''): fc.Arbitrary<unknown> {
  const schema = resolved(given);
  if (name === 'url' || (name === 'image' && [schema.type].flat().includes('string'))) return addresses;
  if (name === 'model') return fc.constantFrom('held', 'held', 'held', null, 'other');
  const branches = schema.anyOf ?? schema.oneOf;
  if (branches) return fc.oneof(...branches.map((branch) => valuesOf(branch, name)));
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if ('const' in schema) return fc.constant(schema.const);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  const { minimum: min = -1e6, maximum: max = 1e6 } = schema;
  switch (type) {
    case 'object': {
      const entries = Object.entries(schema.properties ?? {});
      const requiredKeys = (schema.required ?? []) as never[];
      return fc.record(Object.fromEntries(entries.map(([key, value]) => [key, valuesOf(value, key)])), {
        requiredKeys,
      });
    }
    case 'array':
      return fc.array(valuesOf(schema.items ?? {}, name), { minLength: schema.minItems ?? 0, maxLength: 3 });
    case 'integer':
      return fc.oneof(fc.integer({ min, max: Math.min(max, 2 ** 31 - 1) }), fc.constantFrom(min, max));
    case 'number':
      return fc.double({ min, max, noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      if (schema.pattern?.includes('x')) return fc.constantFrom('auto', '16x16', '0x0', '2000x2000');
      if (schema.pattern) return fc.constantFrom('0,0,4,4', '0,0,99999,99999', '7,7,1,1');
      return fc.string({ maxLength: Math.min(schema.maxLength ?? 40, 40) });
  }
}

/** Every place in a value, as the path to it. */
function placesIn(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, part]) => placesIn(part, [...path, key]))];
}

function withPlace(value: unknown, [key, ...rest]: string[], part: unknown): unknown {
  if (key === undefined) return part;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string, unknown>;
  copy[key] = withPlace(copy[key], rest, part);
  return copy;
}

const question = [
  {
    role: 'user',
    content: [
      { type: 'image_url', image_url: { url } },
      { type: 'text', text: 'Is it?' },
    ],
  },
];
/** Values of a schema with up to two parts replaced and perhaps an unknown field. */
function requestsOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  const properties = resolved(schema).properties!;
  const given = {
    ...('messages' in properties && { messages: question }),
    ...('image' in properties && { image: url }),
    ...('region' in properties && { region: 'hair', mask: undefined }),
  };
  const harm = fc.record({ at: fc.nat(1000), part: hostile });
  const harms = fc.oneof(fc.constant([]), fc.array(harm, { minLength: 1, maxLength: 2 }));
  return fc
    .tuple(valuesOf(schema), fc.boolean(), harms, fc.constantFrom(null, null, null, 'x', '__proto__', 'guidanc'))
    .map(([value, isWhole, harms, unknown]) => {
      let out = isWhole ? { ...(value as object), ...given } : value;
      for (const { at, part } of harms) {
        const places = placesIn(out);
        out = withPlace(out, places[at % places.length]!, part);
      }
      if (unknown === null || typeof out !== 'object' || out === null || Array.isArray(out)) return out;
      return { ...out, [unknown]: 1 };
    });
}

const tally = { requests: 0, refused: 0 };

/** 200, or 4xx in the API's form; a stream that has begun ends with an event. */
async function expectFit(response: Response): Promise<void> {
  tally.requests++;
  const text = await response.text();
  if (response.status === 200) {
    expect(text).not.toContain('"type":"server_error"');
    return;
  }
  tally.refused++;
  expect([response.status, text].join(' ')).toMatch(/^4\d\d /);
  const { error } = JSON.parse(text);
  expect(error).toMatchObject({ message: expect.any(String), type: expect.any(String), code: expect.any(String) });
  expect(error.param === null || typeof error.param === 'string').toBe(true);
  expect(error.message).not.toMatch(/\n|\bat .*\.ts:/);
}

const bodyOf = (path: string, type = 'application/json') =>
  description.paths[path]!.post!.requestBody!.content[type]!.schema;
const sendJson = (app: App, path: string, body: unknown) =>
  app.request(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });

function sendForm(app: App, fields: unknown): Promise<Response> | Response {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields ?? {})) {
    // a form has no null
    if (value == null) continue;
    // String() fails for objects whose own toString is none
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const asFile = name === 'image' || name === 'mask';
    if (asFile) form.append(name, value === url ? new Blob([Buffer.from(png)]) : new Blob([text]), 'a.png');
    else form.append(name, text);
  }
  return app.request('/v1/images/edits', { method: 'POST', body: form });
}

const fuzz = (
  requests: fc.Arbitrary<unknown>,
  numRuns: number,
  send: (body: unknown) => Promise<Response> | Response,
) =>
  fc.assert(
    fc.asyncProperty(requests, async (body) => expectFit(await send(body))),
    { numRuns, seed: 20_250_308 },
  );

describe('every field of every route', () => {
  test.each([
    ['/v1/images/generations', 4000],
    ['/v1/chat/completions', 3200],
    ['/v1/faces', 1000],
    ['/v1/routing', 800],
  ])('%s', async (path, runs) => {
    const before = { ...tally };
    await fuzz(requestsOf(bodyOf(path)), runs, (body) => sendJson(cheap, path, body));
    // the draw is worth something only if both happen often
    const refused = tally.refused - before.refused;
    expect(refused).toBeGreaterThan(runs / 10);
    expect(runs - refused).toBeGreaterThan(runs / 20);
  });

  test('/v1/images/edits', async () => {
    const path = '/v1/images/edits';
    const before = { ...tally };
    await fuzz(requestsOf(bodyOf(path, 'multipart/form-data')), 1200, (body) => sendForm(cheap, body));
    expect(tally.refused - before.refused).toBeLessThan(1140);
  });

  test('paths, methods and headers', async () => {
    const token = fc.stringMatching(/^[A-Za-z0-9._~%-]{0,20}$/);
    const paths = fc.oneof(
      fc.constantFrom('/v1/models', '/v1/images/generations', '/healthz', '/metrics', '/openapi.json', '/'),
      fc.array(token, { maxLength: 4 }).map((parts) => `/${parts.join('/')}`),
      token.map((id) => `/v1/jobs/${id}`),
      token.map((id) => `/v1/models/${id}`),
    );
    const request = fc.record({
      path: paths,
      method: fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'PROPFIND'),
      type: fc.constantFrom(
        'application/json',
        'application/json; charset=utf-16',
        'text/plain',
        'multipart/form-data',
        '',
      ),
      range: fc.string({ unit: fc.constantFrom('a', '1', ',', '-', '=', ';'), maxLength: 30 }),
    });
    await fuzz(request, 700, async (drawn) => {
      const { path, method, type, range } = drawn as { path: string; method: string; type: string; range: string };
      const response = await cheap.request(path, {
        method,
        headers: { 'Content-Type': type, Range: range, 'If-None-Match': range, Authorization: range },
        ...(method !== 'GET' && method !== 'HEAD' && { body: range }),
      });
      // an answer to HEAD has no body
      return method === 'HEAD' ? new Response('', { status: 200 }) : response;
    });
  });

  test('some of them on a real model', async () => {
    const { app } = real;
    const before = { ...tally };
    const small = (path: string) =>
      requestsOf(bodyOf(path)).map((body) => {
        const { model: _, ...bounded } = { ...(body as Record<string, unknown>) };
        // time, not validity: these may take any value within their bounds
        if (typeof bounded.steps === 'number' && bounded.steps > 3) bounded.steps = 3;
        if (typeof bounded.n === 'number' && bounded.n > 2) bounded.n = 2;
        if ('size' in bounded) bounded.size = 'auto';
        return path === '/v1/images/generations' ? { steps: 1, ...bounded } : { ...bounded, face: 'aligned' };
      });
    await fuzz(small('/v1/images/generations'), 170, (body) => sendJson(app, '/v1/images/generations', body));
    await fuzz(small('/v1/chat/completions'), 170, (body) => sendJson(app, '/v1/chat/completions', body));
    await fuzz(small('/v1/routing'), 60, (body) => sendJson(app, '/v1/routing', body));
    const edit = { prompt: 'x', image: url, face: 'aligned', steps: 1 };
    await fuzz(fc.record({ region: hostile, guidance: hostile }), 60, (body) =>
      sendForm(app, { ...edit, ...(body as object) }),
    );
    const served = tally.requests - before.requests - (tally.refused - before.refused);
    expect(served).toBeGreaterThan(60);
  });

  test('more than ten thousand in all', () => expect(tally.requests).toBeGreaterThanOrEqual(10_000));
});

describe('words are never commands', () => {
  test('special tokens in prompts are plain text', async () => {
    const { tokenizer, config } = tinyModel();
    const marks = ['<|endoftext|>', '<|soi|>', '<|eoi|>', '<|t2i|>', '<|mmu|>', '[PAD]', '<s>', '</s>', '<|im_start|>'];
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...marks), fc.string({ unit: 'binary' }))), (parts) => {
        for (const id of tokenizer.encode(parts.join(''))) expect(id).toBeLessThan(config.textVocabSize);
      }),
    );
    for (const mark of marks) expect(tokenizer.decode(tokenizer.encode(mark))).toBe(mark);
    const order = { prompt: marks.join(' '), seed: 1, steps: 1 };
    expect((await sendJson(real.app, '/v1/images/generations', order)).status).toBe(200);
  });

  test('long prompts are counted in bounded time', () => {
    const { tokenizer } = tinyModel();
    for (const unit of ['a', 'ab', ' ', '\u{1f600}', 'é', '🏳️‍🌈']) {
      const startMs = performance.now();
      tokenizer.encode(unit.repeat(4000 / unit.length));
      expect(performance.now() - startMs).toBeLessThan(2000);
    }
  });
});
