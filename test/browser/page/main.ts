import { type GenerateOptions, type LoadOptions, type LoadProgress, type PixelImage, UniF2ace } from '@unif2ace/core';

// What the tests call in the page: a model from an address, faces and answers from it.

/** How a face came about. */
interface Drawn {
  tokens: number[];
  width: number;
  ms: number;
}

export interface PageApi {
  /** Devices as they were told. */
  readonly devices: { device: string; reason: string }[];
  readonly progress: LoadProgress[];
  predict(address: string): Promise<{ downloadBytes: number | null; cachedBytes: number; memoryBytes: number }>;
  load(address: string, device: NonNullable<LoadOptions['device']>): Promise<string>;
  draw(prompt: string, options: GenerateOptions): Promise<Drawn>;
  /** About the face that was drawn last. */
  ask(question: string): Promise<string>;
  /** Of the page; null where the browser does not tell, as in pages that are not isolated. */
  memoryBytes(): Promise<number | null>;
}

let model: UniF2ace;
let face: PixelImage;

const api: PageApi = {
  devices: [],
  progress: [],
  predict: (address) => UniF2ace.predict(address, {}),
  load: async (address, device) => {
    model = await UniF2ace.load(address, {
      device,
      onDevice: (name, reason) => api.devices.push({ device: name, reason }),
      onProgress: (progress) => api.progress.push(progress),
    });
    return model.device;
  },
  draw: async (prompt, options) => {
    const start = performance.now();
    const run = model.generate(prompt, options);
    let tokens: number[] = [];
    for (;;) {
      const { value, done } = await run.next();
      if (done) {
        face = value[0]!;
        return { tokens, width: face.width, ms: performance.now() - start };
      }
      tokens = [...value.tokens[0]!];
    }
  },
  ask: async (question) => {
    let text = '';
    for await (const piece of model.ask(face, question)) text += piece;
    return text;
  },
  memoryBytes: async () => {
    const clock = performance as unknown as { measureUserAgentSpecificMemory?: () => Promise<{ bytes: number }> };
    return (await clock.measureUserAgentSpecificMemory?.())?.bytes ?? null;
  },
};

(globalThis as { unif2ace?: PageApi }).unif2ace = api;
