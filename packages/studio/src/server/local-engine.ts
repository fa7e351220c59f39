import {
  alignFace,
  attributeModel,
  type ExpertRouting,
  encodePng,
  type FaceDetector,
  FaceError,
  type FaceInput,
  faceView,
  findFace,
  type GenerateStep,
  generatedFaceRouting,
  generationText,
  ImageError,
  type LoadedAttributeClassifier,
  type LoadedModel,
  type PixelImage,
  pictureRouting,
  questionPrompt,
  resize,
  toChannelsFirst,
  tokenGrid,
  turn,
  UniF2ace,
} from '@unif2ace/core';
import { float32, type Runtime, type Session } from '@unif2ace/graph';
import {
  type Answer,
  type AskRequest,
  type EditRequest,
  type Engine,
  type EngineInfo,
  EngineRefusal,
  type EngineStepImage,
  type FaceChoice,
  type FacesFound,
  type FacesRequest,
  type RoutingRequest,
  type SamplingRequest,
  type StepWatch,
  type TextWatch,
} from './engine.ts';

export function engineInfo(
  model: LoadedModel,
  classifier: LoadedAttributeClassifier | null,
  device: string,
): EngineInfo {
  const { name, imageSize, guidance, promptTokens, answerTokens } = model.config;
  return {
    name,
    hash: model.hash,
    imageSize,
    tokenGrid: tokenGrid(model.config),
    device,
    attributes: classifier?.config.attributes ?? [],
    guidance,
    // t2i, sot and eot take three of the promptTokens + 1 places
    promptTokens: promptTokens - 2,
    answerTokens,
  };
}

/** `UniF2ace` in this thread; steps of calls that overlap share runs of its network. */
export class LocalEngine implements Engine {
  readonly info: EngineInfo;
  readonly concurrency = 8;
  readonly failure = undefined;
  readonly #face: UniF2ace;
  readonly #model: LoadedModel;
  readonly #classifier: LoadedAttributeClassifier | null;
  readonly #runtime: Runtime;
  readonly #findFaces: (runtime: Runtime) => Promise<FaceDetector>;
  #detector: Promise<FaceDetector> | undefined;
  #attributes: Promise<Session> | undefined;

  /** `findFaces` opens the detector when the first photo comes. */
  constructor(
    model: LoadedModel,
    classifier: LoadedAttributeClassifier | null,
    runtime: Runtime,
    findFaces: (runtime: Runtime) => Promise<FaceDetector>,
  ) {
    this.#findFaces = findFaces;
    this.#face = new UniF2ace(model, runtime);
    this.#model = model;
    this.#classifier = classifier;
    this.#runtime = runtime;
    this.info = engineInfo(model, classifier, runtime.device);
  }

  countTokens(text: string): number {
    return this.#model.tokenizer.encode(text).length;
  }

  generate(request: SamplingRequest, watch: StepWatch): Promise<Uint8Array[]> {
    const { prompt } = request;
    const options = { ...samplingOf(request), signal: watch.signal };
    return this.#pictures(this.#face.generate(prompt, options), request, {}, watch);
  }

  async edit(request: EditRequest, watch: StepWatch): Promise<Uint8Array[]> {
    const { prompt, region, photo, face } = request;
    return refusing(async () => {
      const found = await this.#find(photo, face);
      const options = { ...samplingOf(request), region, signal: watch.signal };
      const part = typeof region === 'string' ? region : 'data' in region ? 'mask' : 'rectangle';
      return this.#pictures(this.#face.edit(found, prompt, options), request, { region: part }, watch);
    });
  }

  async #pictures(
    running: AsyncGenerator<GenerateStep, PixelImage[]>,
    request: SamplingRequest,
    more: Record<string, unknown>,
    watch: StepWatch,
  ): Promise<Uint8Array[]> {
    const { prompt, seed, steps, guidance, temperature, candidates, sizePixels } = request;
    const encode = (image: PixelImage, index: number) => {
      const settings = { index, steps, guidance, temperature, candidates, size: sizePixels, ...more };
      const sized = image.width === sizePixels ? image : resize(image, sizePixels, sizePixels);
      return encodePng(sized, generationText({ prompt, seed, settings, modelHash: this.info.hash }));
    };
    let next = await running.next();
    for (; !next.done; next = await running.next()) {
      const { step, tokens, guesses } = next.value;
      // of a picture's candidates the first is shown
      const shown = next.value.images.flatMap((index, row, all) =>
        all.indexOf(index) === row ? [{ index, row }] : [],
      );
      const previews = showsPreview(step, steps, request.previews)
        ? await this.#face.decode(shown.map(({ row }) => guesses[row]!))
        : [];
      const images = shown.map(({ index, row }, i): EngineStepImage => {
        const preview = previews[i];
        return {
          index,
          masked: maskedTokens(tokens[row]!, this.info.tokenGrid ** 2),
          ...(preview && { preview: encode(preview, index) }),
        };
      });
      watch.onStep({ step, steps, images });
      watch.signal.throwIfAborted();
    }
    const pictures: Uint8Array[] = [];
    for (const [index, image] of next.value.entries()) {
      // a large one takes longer than a step: others come in between, and nobody may want the rest
      if (index > 0) await turn();
      watch.signal.throwIfAborted();
      pictures.push(encode(image, index));
    }
    return pictures;
  }

  async ask(request: AskRequest, { signal, onText }: TextWatch): Promise<Answer> {
    const { photo, face, question, temperature, topP, seed, maxTokens } = request;
    return refusing(async () => {
      const found = await this.#find(photo, face);
      signal.throwIfAborted();
      const decoding = { temperature, topP, seed, ...(maxTokens !== undefined && { maxTokens }) };
      const pieces = this.#face.ask(found, question, { ...decoding, signal });
      let next = await pieces.next();
      for (; !next.done; next = await pieces.next()) onText(next.value);
      const text = next.value;
      const room = this.info.answerTokens - 1 - this.countTokens(questionPrompt(question));
      const full = this.countTokens(text) >= Math.min(maxTokens ?? room, room);
      return { text, finish: full ? 'length' : 'stop' };
    });
  }

  async faces({ photo, face }: FacesRequest, { signal }: { signal: AbortSignal }): Promise<FacesFound> {
    return refusing(async () => {
      const faces = face === 'aligned' ? [] : await (await this.#openDetector()).detect(photo);
      signal.throwIfAborted();
      if (face !== 'aligned' && faces.length === 0) return { faces, chosen: null };
      const chosen = face === 'aligned' ? photo : faces[face - 1];
      if (!chosen) throw new EngineRefusal('no_face', `face: expected a face from 1 to ${faces.length}, got ${face}`);
      const { imageSize } = this.info;
      const crop = 'data' in chosen ? faceView(chosen, imageSize) : alignFace(photo, chosen.landmarks, imageSize);
      const attributes = await this.#attributesOf('data' in chosen ? chosen : { photo, landmarks: chosen.landmarks });
      return { faces, chosen: { index: face, crop: encodePng(crop), attributes } };
    });
  }

  async routing(request: RoutingRequest, { signal }: { signal: AbortSignal }): Promise<ExpertRouting[]> {
    const { prompt, seed, index, steps, guidance, temperature, picture } = request;
    return refusing(async () => {
      if (!picture)
        return generatedFaceRouting(this.#face, prompt, { seed, first: index, steps, guidance, temperature, signal });
      const found = await this.#find(picture.photo, picture.face);
      return pictureRouting(this.#face, found, prompt, { seed, steps, signal });
    });
  }

  async #attributesOf(face: FaceInput): Promise<{ name: string; probability: number }[]> {
    const classifier = this.#classifier;
    if (!classifier) return [];
    const { config, weights } = classifier;
    this.#attributes ??= this.#runtime.createSession(attributeModel(config, weights, 1));
    const { imageSize } = config.encoder;
    const pixels = float32(toChannelsFirst(faceView(face, imageSize)), [1, 3, imageSize, imageSize]);
    const { probabilities } = await (await this.#attributes).run({ pixels });
    return config.attributes.map((name, i) => ({ name, probability: (probabilities!.data as Float32Array)[i]! }));
  }

  #openDetector(): Promise<FaceDetector> {
    this.#detector ??= this.#findFaces(this.#runtime);
    return this.#detector;
  }

  async #find(photo: PixelImage, face: FaceChoice): Promise<FaceInput> {
    if (face === 'aligned') return photo;
    return findFace(await this.#openDetector(), photo, { face, name: 'image' });
  }

  async close(): Promise<void> {
    const detector = await this.#detector;
    await Promise.allSettled([this.#face.close(), detector?.close(), this.#attributes?.then((one) => one.release())]);
    await this.#runtime.close();
  }
}

function samplingOf({ count, seed, steps, guidance, temperature, candidates }: SamplingRequest) {
  return { count, seed, steps, guidance, temperature, candidates };
}

/** Previews come after `previews` steps spread evenly, never after the last, which has the picture itself. */
function showsPreview(step: number, steps: number, previews: number): boolean {
  const before = (s: number) => Math.floor((s * (previews + 1)) / steps);
  return previews > 0 && step < steps && before(step) > before(step - 1);
}

/** 1 for tokens of which a code is unknown [N]; a token may have several codes, one after the other. */
function maskedTokens(codes: Int32Array, tokens: number): Uint8Array {
  const perToken = codes.length / tokens;
  return Uint8Array.from({ length: tokens }, (_, i) =>
    Number(codes.subarray(i * perToken, (i + 1) * perToken).includes(-1)),
  );
}

async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FaceError) throw new EngineRefusal('no_face', error.message);
    if (error instanceof ImageError) throw new EngineRefusal('invalid_image', error.message);
    if (error instanceof RangeError) throw new EngineRefusal('invalid_value', error.message);
    throw error;
  }
}
