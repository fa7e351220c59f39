import { randomInt } from 'node:crypto';
import { readForm, readJson } from '../body.ts';
import type { BodyThread } from '../body-thread.ts';
import type { EditRequest, EngineStep, SamplingRequest, StepWatch } from '../engine.ts';
import { invalid, parse } from '../errors.ts';
import {
  EditFields,
  GenerationRequest,
  type ImageStreamEvent,
  type ImagesResponse,
  regionOf,
} from '../schemas/images.ts';
import type { Client, Service } from '../service.ts';

/** A request that has been read and checked. */
interface PictureOrder {
  kind: 'generate' | 'edit';
  sampling: SamplingRequest;
  stream: boolean;
  run(watch: StepWatch): Promise<Uint8Array[]>;
  notes: string[];
  promptTokens: number;
}

export async function generations(service: Service, client: Client): Promise<Response> {
  const order = await service.budget.hold(async (take): Promise<PictureOrder> => {
    const body = parse(GenerationRequest, await readJson(service.bodies, client.request, take));
    service.requireModel(body.model);
    const sampling = samplingOf(service, body);
    const run = (watch: StepWatch) => service.engine.generate(sampling, watch);
    return { kind: 'generate', sampling, stream: body.stream ?? false, run, ...promptNotes(service, sampling.prompt) };
  });
  return answer(service, client, order);
}

export async function edits(service: Service, client: Client): Promise<Response> {
  const order = await service.budget.hold(async (take): Promise<PictureOrder> => {
    const { fields, files } = await readForm(service.bodies, client.request, take);
    const { image, 'image[]': listed, mask, ...others } = files;
    const unknown = Object.keys(others)[0];
    if (unknown !== undefined) throw invalid(unknown.slice(0, 40), 'expected the files image and mask, got another');
    const body = parse(EditFields, fields);
    service.requireModel(body.model);
    const picture = image ?? listed;
    if (!picture || (image && listed)) throw invalid('image', `expected one file, got ${picture ? 'two' : 'none'}`);
    if ((body.region == null) === (mask === undefined))
      throw invalid('region', `expected region or mask, got ${mask ? 'both' : 'none'}; try region=hair`);
    const photo = await service.bodies.photo(picture, 'image');
    const region = mask ? await service.bodies.mask(mask, photo) : scaled(regionOf(body.region!), photo);
    const sampling = samplingOf(service, body);
    const edit: EditRequest = { ...sampling, photo: withoutSize(photo), face: body.face ?? 1, region };
    const run = (watch: StepWatch) => service.engine.edit(edit, watch);
    return { kind: 'edit', sampling, stream: body.stream ?? false, run, ...promptNotes(service, sampling.prompt) };
  });
  return answer(service, client, order);
}

function samplingOf(service: Service, body: GenerationRequest | EditFields): SamplingRequest {
  const { size, prompt } = body;
  return {
    prompt,
    count: body.n ?? 1,
    seed: body.seed ?? randomInt(2 ** 32),
    steps: body.steps ?? 12,
    guidance: body.guidance ?? service.engine.info.guidance,
    temperature: body.temperature ?? 1,
    candidates: body.candidates ?? 1,
    sizePixels: size == null || size === 'auto' ? service.engine.info.imageSize : Number(size.split('x')[0]),
    previews: body.stream ? (body.partial_images ?? 0) : 0,
  };
}

function promptNotes({ engine }: Service, prompt: string): { notes: string[]; promptTokens: number } {
  const room = engine.info.promptTokens;
  const promptTokens = engine.countTokens(prompt);
  if (promptTokens <= room) return { notes: [], promptTokens };
  return { notes: [`the prompt has ${promptTokens} tokens; the model reads the first ${room}`], promptTokens: room };
}

interface Upright {
  width: number;
  height: number;
  upright: { width: number; height: number };
}

/** A region in pixels of the photo as sent, in those of the photo as decoded. */
function scaled(region: ReturnType<typeof regionOf>, { width, upright }: Upright): EditRequest['region'] {
  if (typeof region === 'string') return region;
  const scale = width / upright.width;
  return {
    x: region.x * scale,
    y: region.y * scale,
    width: region.width * scale,
    height: region.height * scale,
  };
}

function withoutSize({ width, height, data }: EditRequest['photo']): EditRequest['photo'] {
  return { width, height, data };
}

/** The parts of the answer's JSON. */
async function answerParts(
  rest: Omit<ImagesResponse, 'data'>,
  images: readonly Uint8Array[],
  bodies: BodyThread,
): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [Buffer.from('{"data":[')];
  for (const [i, bytes] of images.entries()) {
    if (i > 0) parts.push(Buffer.from(','));
    parts.push(withPicture({ b64_json: '' }, await bodies.base64(bytes)));
  }
  parts.push(Buffer.from(`],${JSON.stringify(rest).slice(1)}`));
  return parts;
}

/** The JSON of a document with the picture in its empty field; base64 needs no escapes. */
function withPicture(document: { b64_json: '' }, base64Bytes: Uint8Array): Uint8Array {
  const field = '"b64_json":"';
  const text = JSON.stringify(document);
  const at = text.indexOf(`${field}"`) + field.length;
  return Buffer.concat([Buffer.from(text.slice(0, at)), base64Bytes, Buffer.from(text.slice(at))]);
}

async function answer(service: Service, client: Client, order: PictureOrder): Promise<Response> {
  const { sampling, kind, promptTokens } = order;
  const { info } = service.engine;
  const startMs = performance.now();
  service.notePrompt(kind, sampling.prompt);
  const look = {
    background: 'opaque',
    output_format: 'png',
    quality: 'auto',
    size: `${sampling.sizePixels}x${sampling.sizePixels}`,
  } as const;
  const imageTokens = info.tokenGrid ** 2 * sampling.count;
  const usage = {
    input_tokens: promptTokens,
    input_tokens_details: { text_tokens: promptTokens, image_tokens: 0 },
    output_tokens: imageTokens,
    total_tokens: promptTokens + imageTokens,
  };
  const created = () => Math.floor(Date.now() / 1000);
  const extension = (job: string): ImagesResponse['unif2ace'] => ({
    job,
    seed: sampling.seed,
    model: { name: info.name, hash: info.hash },
    elapsed_ms: Math.round(performance.now() - startMs),
    notes: order.notes,
  });
  const run = (onStep: (step: EngineStep, job: string) => void) => async (signal: AbortSignal, job: string) => {
    let lastMs = performance.now();
    const images = await order.run({
      signal,
      onStep: (step) => {
        const nowMs = performance.now();
        service.metrics.stepSeconds.observe((nowMs - lastMs) / 1000);
        lastMs = nowMs;
        onStep(step, job);
      },
    });
    service.metrics.images.inc(images.length);
    service.metrics.tokens.inc({ kind: 'prompt' }, promptTokens);
    service.metrics.tokens.inc({ kind: 'image' }, imageTokens);
    return images;
  };

  if (!order.stream) {
    const job = service.queue.submit(
      kind,
      run(() => {}),
      { signal: client.request.signal },
    );
    const images = await job.result;
    const rest = { created: created(), ...look, usage, unif2ace: extension(job.id) };
    const headers = { 'Content-Type': 'application/json', 'x-unif2ace-job': job.id };
    return new Response(ReadableStream.from(await answerParts(rest, images, service.bodies)), { headers });
  }

  const prefix = kind === 'generate' ? 'image_generation' : 'image_edit';
  const stream = service.openStream(client);
  const send = (event: ImageStreamEvent, key: string | null = null) => stream.send(event.type, event, key);
  const sendPicture = async (
    event: ImageStreamEvent & { b64_json: '' },
    bytes: Uint8Array,
    key: string | null = null,
  ) => stream.send(event.type, withPicture(event, await service.bodies.base64(bytes)), key);
  const previews = new Map<number, number>();
  const onStep = ({ step, steps, images }: EngineStep, job: string) => {
    const masks = images.map(({ index, masked }) => ({ index, masked: masked.join('') }));
    send({ type: 'unif2ace.step', job, step, steps, images: masks }, 'step');
    for (const { index, preview } of images) {
      if (!preview) continue;
      const number = previews.get(index) ?? 0;
      previews.set(index, number + 1);
      const event = {
        type: `${prefix}.partial_image`,
        index,
        partial_image_index: number,
        b64_json: '',
        created_at: created(),
        ...look,
      } as const satisfies ImageStreamEvent;
      sendPicture(event, preview, `preview ${index}`).catch(() => {
        // the picture itself takes the same way and says why
      });
    }
  };
  const job = service.queue.submit(kind, run(onStep), {
    signal: AbortSignal.any([stream.signal, client.request.signal]),
    onPosition: (position, job) => send({ type: 'unif2ace.queued', job, position }, 'queued'),
  });
  return service.stream(
    { 'x-unif2ace-job': job.id },
    async () => {
      for (const [index, bytes] of (await job.result).entries()) {
        const event = {
          type: `${prefix}.completed`,
          index,
          b64_json: '',
          created_at: created(),
          ...look,
          usage,
          unif2ace: extension(job.id),
        } as const satisfies ImageStreamEvent;
        await sendPicture(event, bytes);
      }
    },
    stream,
  );
}
