import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePng, pixelImage, readGeneration } from '@unif2ace/core';
import { decodeImage, faceApiFolder } from '@unif2ace/core/node';
import { type RunningServer, ThreadedEngine } from '@unif2ace/studio/server';
import OpenAI, { APIError, toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dataUrl, serveEngine, testPng, tinyModelFolder } from './support.ts';

// The npm package `openai`, as it is, against a tiny model in its thread behind a real socket.

let model: Awaited<ReturnType<typeof tinyModelFolder>>;
let server: RunningServer;
let client: OpenAI;
const picture = testPng();
const attributes = new URL('../../weights/attributes', import.meta.url).pathname;

beforeAll(async () => {
  model = await tinyModelFolder();
  server = await serveEngine(await ThreadedEngine.open({ model: model.folder, attributes }), { apiKey: 'secret' });
  client = new OpenAI({ baseURL: `${server.url}v1`, apiKey: 'secret', maxRetries: 0 });
});
afterAll(async () => {
  await server.close();
  await model.remove();
});

const bytesOf = (text: string | undefined) => new Uint8Array(Buffer.from(text!, 'base64'));
/** Extensions that the client's types do not know. */
const more = (fields: Record<string, unknown>) => fields as object;
const question = (text: string, url = dataUrl(picture)): OpenAI.ChatCompletionMessageParam => ({
  role: 'user',
  content: [
    { type: 'text', text },
    { type: 'image_url', image_url: { url } },
  ],
});
const failure = (work: Promise<unknown>): Promise<APIError> =>
  work.then(
    () => expect.unreachable('expected a failure'),
    (error) => {
      expect(error).toBeInstanceOf(APIError);
      return error;
    },
  );

describe('images.generate', () => {
  test('marked pictures; the seed decides', async () => {
    const order = { model: 'tiny', prompt: 'a smiling woman', n: 2, ...more({ seed: 7, steps: 3, guidance: 1 }) };
    const answer = await client.images.generate(order);
    expect(answer).toMatchObject({ size: '8x8', output_format: 'png', usage: { output_tokens: 32 } });
    const record = readGeneration(bytesOf(answer.data![1]!.b64_json));
    expect(record).toMatchObject({ prompt: 'a smiling woman', seed: 7, settings: { index: 1, steps: 3, guidance: 1 } });
    expect(Buffer.from(bytesOf(answer.data![0]!.b64_json)).includes('trainedAlgorithmicMedia')).toBe(true);
    const again = await client.images.generate(order);
    expect(again.data).toEqual(answer.data);
    const other = await client.images.generate({ ...order, ...more({ seed: 8 }) });
    expect(other.data).not.toEqual(answer.data);
  });

  test('words count as the model has it where nothing is said', async () => {
    const { data } = await client.images.generate({ prompt: 'a smiling woman', ...more({ seed: 7, steps: 2 }) });
    expect(readGeneration(bytesOf(data![0]!.b64_json))).toMatchObject({ settings: { guidance: 2 } });
    expect(await client.models.retrieve('tiny')).toMatchObject({ unif2ace: { guidance: 2 } });
  });

  test('is scaled to the size asked for', async () => {
    const { data, size } = await client.images.generate({ prompt: '', size: '256x256', ...more({ steps: 1 }) });
    const image = await decodeImage(bytesOf(data![0]!.b64_json));
    expect([size, image.width, image.height]).toEqual(['256x256', 256, 256]);
  });

  test('streams place, steps, previews and pictures, the same as without a stream', async () => {
    const order = { prompt: 'a man', n: 5, ...more({ seed: 3, steps: 4 }) };
    const stream = await client.images.generate({ ...order, stream: true, partial_images: 2 });
    const events: Record<string, unknown>[] = [];
    for await (const event of stream) events.push(event as unknown as Record<string, unknown>);
    const of = (type: string) => events.filter((event) => event.type === type);
    expect(of('unif2ace.queued').at(-1)).toMatchObject({ position: 0 });
    // five pictures run in parts of four and one
    const parts = of('unif2ace.step').map(({ step, images }) => [step, (images as { index: number }[])[0]!.index]);
    expect(parts.at(-1)).toEqual([4, 4]);
    const previews = of('image_generation.partial_image');
    expect(new Set(previews.map(({ index }) => index))).toEqual(new Set([0, 1, 2, 3, 4]));
    expect(readGeneration(bytesOf(previews[0]!.b64_json as string))).toMatchObject({ prompt: 'a man' });
    const done = of('image_generation.completed');
    expect(done.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
    const whole = await client.images.generate(order);
    expect(done.map(({ b64_json }) => b64_json)).toEqual(whole.data!.map(({ b64_json }) => b64_json));
  });
});

describe('candidates', () => {
  test('of three for each picture one is kept, the same with a stream and without', async () => {
    const order = { prompt: 'a smiling woman', n: 2, ...more({ seed: 7, steps: 2, candidates: 3 }) };
    const stream = await client.images.generate({ ...order, stream: true, partial_images: 1 });
    const events: Record<string, unknown>[] = [];
    for await (const event of stream) events.push(event as unknown as Record<string, unknown>);
    const shown = events.flatMap(({ type, images }) =>
      type === 'unif2ace.step' ? [images as { index: number }[]] : [],
    );
    // six rows run in parts of four and two; of each picture one row is shown
    expect(shown.map((images) => images.map(({ index }) => index))).toEqual([[0, 1], [0, 1], [1], [1]]);
    const done = events.filter(({ type }) => type === 'image_generation.completed');
    expect(done.map(({ index }) => index)).toEqual([0, 1]);
    const whole = await client.images.generate(order);
    expect(done.map(({ b64_json }) => b64_json)).toEqual(whole.data!.map(({ b64_json }) => b64_json));
    expect(readGeneration(bytesOf(whole.data![1]!.b64_json))).toMatchObject({ settings: { index: 1, candidates: 3 } });
  });

  test('more than the bound are refused by name', async () => {
    const error = await failure(client.images.generate({ prompt: '', ...more({ candidates: 9 }) }));
    expect(error).toMatchObject({ status: 400, param: 'candidates' });
    expect(await client.models.retrieve('tiny')).toMatchObject({ unif2ace: { limits: { candidates: 8 } } });
  });
});

describe('images.edit', () => {
  const aligned = more({ face: 'aligned', seed: 1, steps: 2 });

  test('by region and by mask, in the OpenAI form (transparent) and in ours (white)', async () => {
    const path = join(model.folder, 'face.png');
    await writeFile(path, picture);
    const edit = async (how: object) => {
      const order = { image: createReadStream(path), prompt: 'a man', ...aligned, ...how };
      const { data } = await client.images.edit(order);
      return bytesOf(data![0]!.b64_json);
    };
    const byRegion = await edit({ region: 'mouth' });
    expect(readGeneration(byRegion)).toMatchObject({ settings: { region: 'mouth' } });
    const box = await edit({ region: '0,0,16,8' });
    const white = pixelImage(16, 16);
    white.data.fill(255, 0, 3 * 16 * 8);
    const { default: sharp } = await import('sharp');
    const alpha = await sharp(white.data, { raw: { width: 16, height: 16, channels: 3 } })
      .ensureAlpha()
      .raw()
      .toBuffer();
    for (let i = 0; i < 16 * 16; i++) alpha[4 * i + 3] = i < 16 * 8 ? 0 : 255;
    const clear = await sharp(alpha, { raw: { width: 16, height: 16, channels: 4 } })
      .png()
      .toBuffer();
    const pixels = async (png: Uint8Array) => (await decodeImage(png)).data;
    const byWhite = await edit({ mask: await toFile(encodePng(white), 'mask.png', { type: 'image/png' }) });
    const byClear = await edit({ mask: await toFile(clear, 'mask.png', { type: 'image/png' }) });
    expect(await pixels(byWhite)).toEqual(await pixels(box));
    expect(await pixels(byClear)).toEqual(await pixels(box));
  });

  test('streams', async () => {
    const image = await toFile(picture, 'face.png', { type: 'image/png' });
    const stream = await client.images.edit({
      image,
      prompt: '',
      ...aligned,
      ...more({ region: 'eyes' }),
      stream: true,
    });
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    expect(types.at(-1)).toBe('image_edit.completed');
  });

  test('a photo without a face and a region that misses are told', async () => {
    const image = await toFile(picture, 'face.png', { type: 'image/png' });
    const none = await failure(client.images.edit({ image, prompt: '', ...more({ region: 'eyes' }) }));
    expect(none).toMatchObject({ status: 400, code: 'no_face', type: 'invalid_request_error' });
    const beside = await failure(
      client.images.edit({ image, prompt: '', ...aligned, ...more({ region: '90,90,5,5' }) }),
    );
    expect(beside).toMatchObject({ status: 400, code: 'invalid_image' });
    expect(beside.message).toContain('16×16');
  });
});

describe('chat.completions', () => {
  test('answers; a stream gives the same words', async () => {
    const order = { model: 'tiny', messages: [question('Is it?')], ...more({ face: 'aligned' }) };
    const whole = await client.chat.completions.create(order);
    expect(whole.choices[0]!.message.role).toBe('assistant');
    expect(whole.usage!.total_tokens).toBe(whole.usage!.prompt_tokens + whole.usage!.completion_tokens);
    const stream = await client.chat.completions.create({
      ...order,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let [finish, usage]: [string | null, unknown] = [null, null];
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(whole.choices[0]!.message.content);
    expect(finish).toBe(whole.choices[0]!.finish_reason);
    expect(usage).toEqual(whole.usage);
  });

  test('a cut answer says so', async () => {
    const answer = await client.chat.completions.create({
      model: 'tiny',
      messages: [question('Is it?')],
      max_completion_tokens: 1,
      temperature: 1,
      seed: 5,
      ...more({ face: 'aligned' }),
    });
    expect(answer.choices[0]!.finish_reason).toBe('length');
  });

  test.each([
    ['http', 'https://example.com/face.png', 'url_refused'],
    ['file', 'file:///etc/passwd', 'url_refused'],
  ])('a picture by %s address is refused', async (_, url, code) => {
    const error = await failure(client.chat.completions.create({ model: 'tiny', messages: [question('?', url)] }));
    expect(error).toMatchObject({ status: 400, code, param: 'messages.0.content.1.image_url.url' });
  });

  test('too long a question, no picture, another model', async () => {
    const create = (messages: OpenAI.ChatCompletionMessageParam[], name = 'tiny') =>
      failure(client.chat.completions.create({ model: name, messages }));
    expect(await create([question('word '.repeat(60))])).toMatchObject({ status: 400, param: 'messages' });
    expect((await create([{ role: 'user', content: 'Is it?' }])).message).toContain('picture');
    expect(await create([question('Is it?')], 'gpt')).toMatchObject({ status: 404, code: 'model_not_found' });
  });
});

test('models.list names sizes, limits and attributes', async () => {
  const { data } = await client.models.list();
  expect(data).toMatchObject([{ id: 'tiny', object: 'model', unif2ace: { image_size: 8, token_grid: 4 } }]);
  expect((data[0] as unknown as { unif2ace: { attributes: string[] } }).unif2ace.attributes).toContain('Eyeglasses');
  expect(await client.models.retrieve('tiny')).toMatchObject({ id: 'tiny' });
});

test('a wrong key is refused', async () => {
  const error = await failure(new OpenAI({ baseURL: `${server.url}v1`, apiKey: 'secre', maxRetries: 0 }).models.list());
  expect(error).toMatchObject({ status: 401, code: 'invalid_api_key' });
});

test('faces of a photo: boxes in its pixels, the chosen one aligned, attributes', async () => {
  const photo = await readFile(join(faceApiFolder(), 'demo/sample1.jpg'));
  const ask = (face?: number) =>
    client.post<Record<string, never>>('/faces', { body: { image: dataUrl(photo, 'image/jpeg'), face } });
  const found = await ask();
  const { width, height } = await decodeImage(photo);
  expect(found).toMatchObject({ width, height, chosen: { index: 1 } });
  const faces = found.faces as unknown as { index: number; box: { x: number; width: number } }[];
  expect(faces.length).toBeGreaterThan(1);
  for (const { box } of faces) expect(box.x + box.width / 2).toBeLessThan(width);
  const { attributes: told } = found.chosen as unknown as { attributes: { probability: number }[] };
  for (const { probability } of told) expect(probability).toBeGreaterThanOrEqual(0);
  expect(told.length).toBeGreaterThan(30);
  expect(await failure(ask(99))).toMatchObject({ status: 400, code: 'no_face' });
});

test('experts of a face made again by its settings, or of a picture', async () => {
  interface Routing {
    task: string;
    token_grid: number;
    layers: { layer: number; level: string; experts: string[]; weights: (number | number[])[] }[];
  }
  const ask = (body: object) => client.post<Routing>('/routing', { body: { prompt: 'a hat', steps: 2, ...body } });
  const made = await ask({ seed: 7, index: 1 });
  expect(made).toMatchObject({ task: 't2i', token_grid: 4, steps: 2 });
  expect(made.layers.map(({ level, layer }) => `${level} ${layer}`)).toEqual([
    'token 0',
    'sequence 0',
    'token 1',
    'sequence 1',
  ]);
  for (const { level, experts, weights } of made.layers) {
    expect(weights).toHaveLength(experts.length);
    for (const weight of weights) expect([weight].flat()).toHaveLength(level === 'token' ? 16 : 1);
  }
  const shares = made.layers[1]!.weights as number[];
  expect(shares.reduce((a, b) => a + b)).toBeCloseTo(1, 3);
  expect(await ask({ seed: 7, index: 1 })).toEqual(made);
  expect(await ask({ seed: 7, index: 0 })).not.toEqual(made);
  expect(await ask({ image: dataUrl(picture), face: 'aligned' })).not.toEqual(made);
  expect(await failure(ask({ image: dataUrl(picture) }))).toMatchObject({ status: 400, code: 'no_face' });
  expect(await failure(ask({ index: 16 }))).toMatchObject({ status: 400, param: 'index' });
});

test('a thread that dies fails its requests and the health check, not the process', async () => {
  const threads: import('node:worker_threads').Worker[] = [];
  const noted = (worker: import('node:worker_threads').Worker) => threads.push(worker);
  process.on('worker', noted);
  const mortal = await serveEngine(await ThreadedEngine.open({ model: model.folder, attributes: null }));
  process.off('worker', noted);
  const other = new OpenAI({ baseURL: `${mortal.url}v1`, apiKey: 'none', maxRetries: 0 });
  // between two runs: ending a thread inside of one takes the engine's library, and the process, with it
  await Promise.all(threads.map((thread) => thread.terminate()));
  expect(await failure(other.images.generate({ prompt: '' }))).toMatchObject({ status: 500, type: 'server_error' });
  expect((await fetch(`${mortal.url}healthz`)).status).toBe(503);
  await mortal.close();
});
