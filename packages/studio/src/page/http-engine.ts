import {
  type AttributeEstimate,
  type ChatMessage,
  type EditRegion,
  EngineError,
  type EngineInfo,
  type FaceSource,
  type FacesInPhoto,
  type FoundFace,
  type GeneratedFaces,
  type GenerateSettings,
  type GenerateWatch,
  type LayerRouting,
  type RoutedFace,
  type Routing,
  type StudioEngine,
} from './engine.ts';
import { serverEvents } from './server-events.ts';
import { SessionKey } from './session-key.ts';

const maxPreviews = 100;
const infoPath = 'v1/models';

/** Events of a stream of pictures, as docs/api.md has them. */
interface ImageEvent {
  type?: string;
  position?: number;
  step?: number;
  steps?: number;
  images?: { index: number; masked: string }[];
  index?: number;
  b64_json?: string;
  error?: { message: string };
}

interface ModelReply {
  id: string;
  unif2ace: {
    hash: string;
    image_size: number;
    token_grid: number;
    device: string;
    attributes: string[];
    guidance: number;
    limits: {
      count: number;
      steps: number;
      guidance: number;
      temperature: number;
      candidates: number;
      photo_bytes: number;
    };
  };
}

interface FacesReply {
  width: number;
  height: number;
  faces: FoundFace[];
  chosen: { index: number | 'aligned'; crop: string; attributes: AttributeEstimate[] } | null;
}

interface RoutingReply {
  task: 't2i';
  token_grid: number;
  steps: number;
  layers: { layer: number; level: 'token' | 'sequence'; experts: string[]; weights: (number | number[])[] }[];
}

interface ChatReply {
  choices?: { delta: { content?: string } }[];
  error?: { message: string };
}

function pngOf(base64: string): Blob {
  return new Blob([Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))], { type: 'image/png' });
}

function dataUrlOf(picture: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(new EngineError('photo: expected a file that can be read, got none; try another'));
    reader.readAsDataURL(picture.type ? picture : new Blob([picture], { type: 'image/png' }));
  });
}

/** The model behind the HTTP API of the server that the page came from. */
export class HttpEngine implements StudioEngine {
  readonly #base: URL;
  readonly #key = new SessionKey();

  /** @param base address of the server, with or without a path below which `v1/` lies. */
  constructor(base: string | URL) {
    this.#base = new URL('./', base);
  }

  async info(signal?: AbortSignal): Promise<EngineInfo> {
    const response = await this.#fetch(infoPath, {}, signal);
    const { data } = (await response.json()) as { data: ModelReply[] };
    const model = data[0];
    if (!model) throw new EngineError('server: expected a model, got none; try to start it again');
    const { hash, image_size, token_grid, device, attributes, guidance, limits } = model.unif2ace;
    const { photo_bytes: photoBytes, ...bounds } = limits;
    return {
      place: 'server',
      model: { name: model.id, hash, imageSize: image_size, tokenGrid: token_grid },
      device,
      attributes,
      guidance,
      limits: { ...bounds, photoBytes },
    };
  }

  async generate(settings: GenerateSettings, watch: GenerateWatch = {}): Promise<GeneratedFaces> {
    const { count: n, ...rest } = settings;
    const body = { ...rest, n, stream: true, partial_images: Math.min(maxPreviews, settings.steps) };
    return this.#pictures('v1/images/generations', jsonOf(body), settings.count, watch);
  }

  async edit(
    { picture, face }: FaceSource,
    region: EditRegion,
    settings: GenerateSettings,
    watch: GenerateWatch = {},
  ): Promise<GeneratedFaces> {
    const { count: n, ...rest } = settings;
    const form = new FormData();
    const fields = { ...rest, n, face };
    const stream = { stream: true, partial_images: Math.min(maxPreviews, settings.steps) };
    for (const [name, value] of Object.entries({ ...fields, ...stream })) form.set(name, `${value}`);
    form.set('image', picture, 'face.png');
    if (region instanceof Blob) form.set('mask', region, 'mask.png');
    else if (typeof region === 'string') form.set('region', region);
    else form.set('region', [region.x, region.y, region.width, region.height].map(Math.round).join(','));
    return this.#pictures('v1/images/edits', { body: form }, n, watch);
  }

  async faces(photo: Blob, face?: FaceSource['face'], signal?: AbortSignal): Promise<FacesInPhoto> {
    const body = { image: await dataUrlOf(photo), ...(face !== undefined && { face }) };
    const response = await this.#fetch('v1/faces', jsonOf(body), signal);
    const { width, height, faces, chosen } = (await response.json()) as FacesReply;
    if (!chosen) return { width, height, faces };
    const index = chosen.index === 'aligned' ? 0 : chosen.index;
    const crop = pngOf(chosen.crop.slice(chosen.crop.indexOf(',') + 1));
    return { width, height, faces, chosen: { index, crop, attributes: chosen.attributes } };
  }

  async *ask(
    { picture, face }: FaceSource,
    messages: readonly ChatMessage[],
    signal?: AbortSignal,
  ): AsyncGenerator<string> {
    const question = messages.at(-1)?.text ?? '';
    const content = [
      { type: 'text', text: question },
      { type: 'image_url', image_url: { url: await dataUrlOf(picture) } },
    ];
    const body = { messages: [{ role: 'user', content }], face, stream: true };
    const response = await this.#fetch('v1/chat/completions', jsonOf(body), signal);
    for await (const event of this.#events<ChatReply>(response, signal)) {
      const piece = event.choices?.[0]?.delta.content;
      if (piece) yield piece;
    }
  }

  async routing({ settings, index, picture }: RoutedFace, signal?: AbortSignal): Promise<Routing> {
    const { prompt, seed, steps, guidance, temperature } = settings;
    const made = picture ? { image: await dataUrlOf(picture), face: 'aligned' } : { index, guidance, temperature };
    const response = await this.#fetch('v1/routing', jsonOf({ prompt, seed, steps, ...made }), signal);
    const reply = (await response.json()) as RoutingReply;
    return {
      task: reply.task,
      tokenGrid: reply.token_grid,
      steps: reply.steps,
      layers: reply.layers.map(
        ({ weights, ...layer }): LayerRouting => ({
          ...layer,
          weights: Float32Array.from(weights.flat()),
        }),
      ),
    };
  }

  unlock(key: string): void {
    this.#key.set(key);
  }

  async #pictures(path: string, init: RequestInit, count: number, watch: GenerateWatch): Promise<GeneratedFaces> {
    const { signal } = watch;
    const startMs = performance.now();
    const response = await this.#fetch(path, init, signal);
    const job = response.headers.get('x-unif2ace-job');
    const cancel = () => {
      // a closed connection cancels too, but a proxy between may hold it open
      const init = { method: 'DELETE', keepalive: true, headers: this.#key.headers() };
      if (job) void fetch(new URL(`v1/jobs/${job}`, this.#base), init).catch(() => {});
    };
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      const images = await this.#watchPictures(response, watch);
      if (images.filter(Boolean).length !== count)
        throw new EngineError(`server: expected ${count} pictures, got ${images.length}; try again`, { retry: true });
      return { images, elapsedMs: performance.now() - startMs };
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  async #watchPictures(response: Response, { signal, onQueued, onStep }: GenerateWatch): Promise<Blob[]> {
    const images: Blob[] = [];
    let step = { step: 0, steps: 0 };
    let masks = new Map<number, Uint8Array>();
    let previews = new Map<number, ImageBitmap>();
    const dropPreviews = () => {
      for (const picture of previews.values()) picture.close();
      previews = new Map();
    };
    try {
      for await (const event of this.#events<ImageEvent>(response, signal)) {
        if (event.type === 'unif2ace.queued') onQueued?.(event.position!);
        else if (event.type === 'unif2ace.step') {
          step = { step: event.step!, steps: event.steps! };
          masks = new Map(event.images!.map(({ index, masked }) => [index, Uint8Array.from(masked, Number)]));
          dropPreviews();
        } else if (event.type?.endsWith('.partial_image')) {
          const picture = await createImageBitmap(pngOf(event.b64_json!));
          previews.get(event.index!)?.close();
          previews.set(event.index!, picture);
          if (previews.size < masks.size) continue;
          const shown = [...previews].map(([index, picture]) => {
            const masked = masks.get(index);
            return { index, picture, ...(masked && { masked }) };
          });
          previews = new Map();
          onStep?.({ ...step, images: shown.sort((a, b) => a.index - b.index) });
        } else if (event.type?.endsWith('.completed')) images[event.index!] = pngOf(event.b64_json!);
      }
    } finally {
      dropPreviews();
    }
    return images;
  }

  async *#events<E extends { error?: { message: string } }>(
    response: Response,
    signal?: AbortSignal,
  ): AsyncGenerator<E> {
    try {
      for await (const event of serverEvents(response.body!) as AsyncIterable<E>) {
        signal?.throwIfAborted();
        if (event.error) throw new EngineError(event.error.message);
        yield event;
      }
    } catch (error) {
      throw this.#failure(error, signal);
    }
  }

  async #fetch(path: string, init: RequestInit = {}, signal?: AbortSignal): Promise<Response> {
    let response: Response;
    try {
      const method = init.body === undefined ? 'GET' : 'POST';
      const headers = { ...(init.headers as Record<string, string> | undefined), ...this.#key.headers() };
      response = await fetch(new URL(path, this.#base), { method, ...init, headers, ...(signal && { signal }) });
    } catch (error) {
      throw this.#failure(error, signal);
    }
    if (response.ok) return response;
    const reply = (await response.json().catch(() => undefined)) as { error?: { message?: string } } | undefined;
    const { status } = response;
    if (status === 401) {
      const had = this.#key.drop();
      const again = path === infoPath ? '' : '; reload the page to give it';
      throw new EngineError(`key: expected the key of this server, got ${had ? 'another' : 'none'}${again}`, {
        needsKey: true,
      });
    }
    throw new EngineError(reply?.error?.message ?? `server: expected an answer, got status ${status}`, {
      retry: status === 429 || status === 503,
    });
  }

  #failure(error: unknown, signal?: AbortSignal): unknown {
    if (signal?.aborted) return signal.reason;
    if (error instanceof EngineError) return error;
    return new EngineError('server: expected an answer, got none; see whether it still runs and try again', {
      retry: true,
      cause: error,
    });
  }
}

function jsonOf(body: unknown): RequestInit {
  return { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
}
