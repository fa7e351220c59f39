import {
  BatchedEngine,
  collect,
  guidedProbabilities,
  imageCodes,
  layoutOf,
  philoxDraws,
  sampleMaskgit,
  UniF2ace,
  unknownToken,
} from '@unif2ace/core';
import { Philox } from '@unif2ace/graph';
import { workerRuntime } from '@unif2ace/graph/node';
import type { BenchCase } from '../case.ts';
import { prompt, randomNano, randomPhoto } from '../nano-model.ts';
import { plainDenoiser } from './plain-denoise.ts';

const steps = 12;

/** A face of nano in 12 steps with guidance: on the kept prompt as it is served, or the whole sequence at every step. */
export async function denoise(way: 'kept' | 'plain'): Promise<BenchCase> {
  const loaded = randomNano();
  const runtime = workerRuntime();
  const model = new UniF2ace(loaded, runtime, true);
  const codes = layoutOf(loaded.config).codes;
  const start = [new Int32Array(imageCodes(loaded.config)).fill(unknownToken)];
  const plain = way === 'plain' ? await plainDenoiser(loaded, runtime, prompt, 1) : null;
  const sum = (data: Uint8Array) => data.reduce((a, b) => a + b, 0);
  return {
    run: async () => {
      if (!plain) return sum((await collect(model.generate(prompt, { steps, seed: 1 })))[0]!.data);
      const network = async (state: readonly Int32Array[]) => guidedProbabilities(await plain.logits(state), codes, 3);
      const draws = philoxDraws([new Philox(1, 0)], start[0]!.length);
      const options = { steps, temperature: loaded.config.confidenceTemperature };
      let last: Int32Array[] = start;
      for await (const step of sampleMaskgit(start, codes, network, draws, options)) last = step.sampled;
      return sum((await model.decode(last))[0]!.data);
    },
    close: () => model.close(),
  };
}

/** Eight users who each want a face: through one engine at the same time, or one after the other. */
export async function concurrent(way: 'together' | 'one_by_one'): Promise<BenchCase> {
  const model = new UniF2ace(randomNano(), workerRuntime(), true);
  const engine = new BatchedEngine(model, { active: way === 'together' ? 8 : 1 });
  return {
    run: async () => {
      const faces = Array.from({ length: 8 }, (_, seed) => collect(engine.generate(prompt, { steps, seed })));
      return (await Promise.all(faces)).length;
    },
    close: () => model.close(),
  };
}

/** Twenty words about a face that was looked at: one forward of one token for each, or eight such answers together. */
export async function answers(count: number): Promise<BenchCase> {
  const model = new UniF2ace(randomNano(), workerRuntime(), true);
  const looked = await model.look(randomPhoto(model));
  return {
    run: async () => {
      const texts = Array.from({ length: count }, () =>
        collect(model.ask(looked, 'is it a face with hair?', { maxTokens: 20 })),
      );
      return (await Promise.all(texts)).length;
    },
    close: () => model.close(),
  };
}

/** A photo looked at and the first word of an answer. */
export async function firstToken(): Promise<BenchCase> {
  const model = new UniF2ace(randomNano(), workerRuntime(), true);
  const photo = randomPhoto(model);
  return {
    run: async () => (await collect(model.ask(photo, 'is it a face with hair?', { maxTokens: 1 }))).length,
    close: () => model.close(),
  };
}
