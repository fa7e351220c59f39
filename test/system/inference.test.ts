import {
  additiveMask,
  answerSequence,
  type EditOptions,
  embedImage,
  faceView,
  type GenerateOptions,
  imageCodes,
  imageIds,
  imageTokens,
  layoutOf,
  mmuVisibility,
  modelScopes,
  type PixelImage,
  phiLogits,
  pixelImage,
  questionPrompt,
  regionTokens,
  tokenGrid,
  UniF2ace,
  unifiedBackbone,
} from '@unif2ace/core';
import { buildModel, float32, input, int32, ParamScope, Philox } from '@unif2ace/graph';
import { directRuntime, workerRuntime } from '@unif2ace/graph/node';
import { afterAll, describe, expect, test } from 'vitest';
import { tinyModel } from './tiny-model.ts';

function photo(seed: number): PixelImage {
  const random = new Philox(seed);
  return pixelImage(
    20,
    20,
    Uint8Array.from({ length: 1200 }, () => random.int(256)),
  );
}

describe.each([1, 2])('with %i codes a position', (codeGroups) => {
  const loaded = tinyModel(1, codeGroups);
  const { config, tokenizer, weights } = loaded;
  const runtime = directRuntime({ intraOpThreads: 2 });
  const model = new UniF2ace(loaded, runtime);
  const layout = layoutOf(config);
  afterAll(() => model.close());

  async function generated(prompt: string, options: GenerateOptions, by = model): Promise<PixelImage[]> {
    const run = by.generate(prompt, options);
    for (;;) {
      const { value, done } = await run.next();
      if (done) return value;
    }
  }

  async function answered(question: string, by = model): Promise<string> {
    const run = by.ask(photo(3), question, { maxTokens: 12 });
    for (;;) {
      const { value, done } = await run.next();
      if (done) return value;
    }
  }

  describe('generation', () => {
    test('the same seed gives the same bytes, another seed others', async () => {
      const [a] = await generated('a smiling woman', { seed: 5, steps: 4 });
      const [b] = await generated('a smiling woman', { seed: 5, steps: 4 });
      const [c] = await generated('a smiling woman', { seed: 6, steps: 4 });
      expect(b).toEqual(a);
      expect(c).not.toEqual(a);
    });

    test('image i depends on (seed, i) alone, not on how many are made', async () => {
      const six = await generated('a hat', { seed: 1, count: 6, steps: 3 });
      const two = await generated('a hat', { seed: 1, count: 2, steps: 3 });
      expect(six.slice(0, 2)).toEqual(two);
      expect(new Set(six.map(({ data }) => data.join())).size).toBe(6);
    });

    test('the worker thread gives the same image as the calling thread', async () => {
      const worker = workerRuntime({ intraOpThreads: 2 });
      const other = new UniF2ace(loaded, worker);
      expect(await generated('a hat', { seed: 2, steps: 3 }, other)).toEqual(
        await generated('a hat', { seed: 2, steps: 3 }),
      );
      await other.close();
      await worker.close();
    });

    test('words and guidance count; without guidance there is no unconditional branch', async () => {
      const [plain] = await generated('a smiling woman', { seed: 1, guidance: 0 });
      const [guided] = await generated('a smiling woman', { seed: 1, guidance: 5 });
      const [hat] = await generated('a hat', { seed: 1, guidance: 5 });
      expect(guided).not.toEqual(plain);
      expect(hat).not.toEqual(guided);
    });

    test('steps count down the masked tokens to none', async () => {
      const masked: number[] = [];
      const run = model.generate('a hat', { seed: 1, steps: 5 });
      for (let next = await run.next(); !next.done; next = await run.next())
        masked.push(next.value.tokens[0]!.filter((token) => token < 0).length);
      expect(masked).toHaveLength(5);
      expect(masked.at(-1)).toBe(0);
      expect([...masked].sort((a, b) => b - a)).toEqual(masked);
    });

    test('empty, very long, non-Latin prompts and prompts with special tokens are ordinary text', async () => {
      for (const prompt of ['', 'hat '.repeat(5000), '微笑的女人 😀', '<|endoftext|><|t2i|>'])
        expect(await generated(prompt, { steps: 1 })).toHaveLength(1);
      expect(tokenizer.encode('<|t2i|>').every((id) => id < config.textVocabSize)).toBe(true);
    });

    test.each([
      [{ count: 0 }, 'count'],
      [{ steps: 1.5 }, 'steps'],
      [{ guidance: Number.NaN }, 'guidance'],
      [{ temperature: -1 }, 'temperature'],
      [{ seed: -1 }, 'seed'],
    ] as [GenerateOptions, string][])('option %o is refused by name', async (options, name) => {
      await expect(generated('a', options)).rejects.toThrow(new RegExp(`^generate: ${name}: expected`));
    });

    test('an aborted signal stops between steps', async () => {
      const stop = new AbortController();
      const run = model.generate('a', { signal: stop.signal });
      await run.next();
      stop.abort();
      await expect(run.next()).rejects.toThrow(/abort/);
    });
  });

  describe('editing', () => {
    const edited = async (options: Partial<EditOptions> = {}) => {
      const steps: Int32Array[] = [];
      const run = model.edit(photo(4), 'a man with a hat', { region: 'mouth', seed: 3, steps: 4, ...options });
      for (;;) {
        const { value, done } = await run.next();
        if (done) return { images: value, steps };
        steps.push(value.tokens[0]!);
      }
    };

    test('only tokens of the region are masked and drawn; the same seed gives the same face', async () => {
      const [codes] = await model.encode([photo(4)]);
      const chosen = regionTokens(photo(4), 'mouth', tokenGrid(config));
      const { images, steps } = await edited();
      expect(steps).toHaveLength(4);
      for (const tokens of steps)
        tokens.forEach((token, i) => {
          if (!chosen[Math.floor(i / codeGroups)]) expect(token).toBe(codes![i]);
        });
      expect([...chosen].filter(Boolean).length).toBeGreaterThan(0);
      expect((await edited()).images).toEqual(images);
      expect((await edited({ seed: 4, count: 3 })).images).toHaveLength(3);
    });

    test('pixels away from the region stay as the aligned face has them', async () => {
      const { imageSize } = config;
      const [image] = (await edited({ region: { x: 0, y: 0, width: 20, height: 4 } })).images;
      const before = faceView(photo(4), imageSize);
      const lower = 3 * imageSize * Math.ceil(imageSize / 2);
      expect(image!.data.subarray(lower)).toEqual(before.data.subarray(lower));
      expect(image!.data.subarray(0, lower)).not.toEqual(before.data.subarray(0, lower));
    });

    test('an aborted signal stops between steps', async () => {
      await expect(edited({ signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
    });
  });

  describe('understanding', () => {
    test('answering with kept keys and values agrees with the whole sequence at once', async () => {
      const question = 'Is the person wearing a hat?';
      const looked = await model.look(photo(3));
      const answer = await answered(question);
      // the whole sequence, greedy, without any cache
      const codes = (await model.encode([photo(3)]))[0]!;
      const session = await runtime.createSession(
        (() => {
          const scope = modelScopes(new ParamScope()).backbone;
          const length = imageTokens(config) + 3 + config.answerTokens;
          const span = { start: 2, length: imageTokens(config) };
          const { face, clip } = config.backbone.features;
          const { hidden_BLD } = unifiedBackbone(
            scope,
            config.backbone,
            embedImage(scope, config, input('ids', [1, length], 'int32'), span, 'others'),
            {
              task: 'mmu',
              mask: input('mask', [1, 1, length, length]),
              span,
              features: {
                face_BMF: input('face', [1, face.tokens, face.width]),
                clip_BMF: input('clip', [1, clip.tokens, clip.width]),
              },
            },
          );
          return buildModel({ logits: phiLogits(scope, config.backbone.phi, hidden_BLD) }, { parameters: weights });
        })(),
      );
      const features = await model.features([photo(3)]);
      const asked = tokenizer.encode(questionPrompt(question));
      const words: number[] = [];
      const { first: image, others } = imageIds(layout, codes);
      for (let step = 0; step < 12; step++) {
        const { ids } = answerSequence(layout, image, asked, words, config.answerTokens);
        const { logits } = await session.run({
          ids: int32(ids, [1, ids.length]),
          ...(others.length > 0 && { others: int32(others, [1, others.length]) }),
          mask: float32(additiveMask(mmuVisibility(layout, ids)), [1, 1, ids.length, ids.length]),
          ...features,
        });
        const at = image.length + 3 + asked.length + words.length;
        const row = (logits!.data as Float32Array).subarray(at * layout.vocabSize, (at + 1) * layout.vocabSize);
        const allowed = [...row.subarray(0, config.textVocabSize), row[layout.eot]!];
        const best = allowed.indexOf(Math.max(...allowed));
        if (best === config.textVocabSize) break;
        words.push(best);
      }
      await session.release();
      expect(answer).toBe(
        tokenizer
          .decode(words)
          .trimStart()
          .replace(/\uFFFD+$/, ''),
      );
      expect(looked.length).toBe(image.length + 3);
    });

    test('several questions on one look do not disturb each other', async () => {
      const looked = await model.look(photo(3));
      const ask = async () => {
        const run = model.ask(looked, 'Is it a hat?', { maxTokens: 6 });
        for (let next = await run.next(); ; next = await run.next()) if (next.done) return next.value;
      };
      const first = await ask();
      await answered('Yes?');
      expect(await ask()).toBe(first);
    });

    test('streamed pieces join to the answer', async () => {
      const run = model.describe(photo(4), { maxTokens: 10 });
      let text = '';
      for (let next = await run.next(); ; next = await run.next()) {
        if (next.done) {
          expect(text).toBe(next.value);
          break;
        }
        text += next.value;
      }
    });

    test('a question that is too long is refused', async () => {
      await expect(answered('hat '.repeat(60))).rejects.toThrow(/^ask: question: expected at most/);
    });
  });

  test('a photo and its codes: reconstruct is decode of encode', async () => {
    const codes = await model.encode([photo(1), photo(2)]);
    expect(codes.map((row) => row.length)).toEqual([imageCodes(config), imageCodes(config)]);
    const [, second] = await model.decode(codes);
    expect(await model.reconstruct(photo(2))).toEqual(second);
  });
});
