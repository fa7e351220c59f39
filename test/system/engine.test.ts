import {
  BatchedEngine,
  batchSize,
  collect,
  generatedFaceRouting,
  guidedProbabilities,
  imageCodes,
  layoutOf,
  type PixelImage,
  philoxDraws,
  pictureRouting,
  pixelImage,
  QueueFullError,
  type StepProbabilities,
  sampleMaskgit,
  UniF2ace,
  unknownToken,
} from '@unif2ace/core';
import { LocalStates, Philox, type Runtime, type Session, type States } from '@unif2ace/graph';
import { directRuntime, workerRuntime } from '@unif2ace/graph/node';
import { afterAll, describe, expect, test } from 'vitest';
import { plainDenoiser } from '../../bench/cases/plain-denoise.ts';
import { tinyModel } from './tiny-model.ts';

function photo(seed: number): PixelImage {
  const random = new Philox(seed);
  return pixelImage(
    12,
    12,
    Uint8Array.from({ length: 432 }, () => random.int(256)),
  );
}

/** A runtime that notes the rows of every shared run. */
function watched(runtime: Runtime): {
  runtime: Runtime;
  rows: number[];
  states: LocalStates;
  probabilities: Float32Array[];
} {
  const states = new LocalStates();
  const rows: number[] = [];
  const probabilities: Float32Array[] = [];
  const watching: States = {
    create: (shapes) => states.create(shapes),
    clone: (state) => states.clone(state),
    free: (state) => states.free(state),
    run: async (session: Session, request) => {
      if (request.rows.length > 0) rows.push(request.rows.length);
      const result = await states.run(session, request);
      if (result.probabilities) probabilities.push((result.probabilities.data as Float32Array).slice());
      return result;
    },
  };
  return { runtime: { ...runtime, states: watching }, rows, states, probabilities };
}

describe.each([1, 2])('with %i codes a position', (codeGroups) => {
  const loaded = tinyModel(1, codeGroups);
  const watch = watched(directRuntime({ intraOpThreads: 1 }));
  const model = new UniF2ace(loaded, watch.runtime);
  afterAll(() => model.close());

  const requests = [
    { prompt: 'a smiling woman', steps: 3, seed: 1, guidance: 3, count: 1 },
    { prompt: 'a hat', steps: 7, seed: 2, guidance: 0, count: 2 },
    { prompt: 'a hat', steps: 5, seed: 3, guidance: 5, count: 1 },
    { prompt: '', steps: 4, seed: 4, guidance: 1, count: 3 },
    { prompt: 'blond hair', steps: 6, seed: 5, guidance: 2, count: 1 },
  ];

  test('requests at the same time, each at its own step, give what each gives alone', async () => {
    const tokensOf = async (engine: Pick<UniF2ace, 'generate'>, { prompt, ...options }: (typeof requests)[number]) => {
      const tokens: string[] = [];
      const run = engine.generate(prompt, options);
      for (;;) {
        const { value, done } = await run.next();
        if (done) return { tokens, images: value };
        tokens.push(value.tokens.map((row) => row.join()).join(';'));
      }
    };
    const ask = (engine: Pick<UniF2ace, 'ask'>, seed: number) =>
      collect(engine.ask(photo(seed), 'Is it a hat?', { maxTokens: 4 + seed }));
    const edit = (engine: Pick<UniF2ace, 'edit'>) =>
      collect(engine.edit(photo(9), 'a hat', { region: { x: 0, y: 0, width: 12, height: 6 }, steps: 3 }));
    const alone = [];
    for (const request of requests) alone.push(await tokensOf(model, request));
    const said = [await ask(model, 1), await ask(model, 2), await ask(model, 3)];
    const part = await edit(model);
    watch.rows.length = 0;
    const engine = new BatchedEngine(model, { active: 16 });
    const [faces, texts, edited] = await Promise.all([
      Promise.all(requests.map((request) => tokensOf(engine, request))),
      Promise.all([1, 2, 3].map((seed) => ask(engine, seed))),
      edit(engine),
    ]);
    expect(faces).toEqual(alone);
    expect(texts).toEqual(said);
    expect(edited).toEqual(part);
    // shared indeed: 25 steps of generation and edit, and only a few shapes
    expect(watch.rows.filter((rows) => rows >= 6).length).toBeGreaterThan(3);
    expect(watch.rows.every((rows) => [1, 2, 4, 6, 8].includes(rows))).toBe(true);
  });

  test.each([0, 4])('the kept prompt gives what the whole sequence gives, guidance %d', async (guidance) => {
    const plain = await plainDenoiser(loaded, directRuntime(), 'a smiling woman', 1);
    watch.probabilities.length = 0;
    const states: Int32Array[] = [new Int32Array(imageCodes(loaded.config)).fill(unknownToken)];
    const run = model.generate('a smiling woman', { steps: 4, seed: 3, guidance });
    for (let next = await run.next(); !next.done; next = await run.next()) states.push(next.value.tokens[0]!);
    const { codes } = layoutOf(loaded.config);
    for (const [step, kept] of watch.probabilities.entries()) {
      const logits = await plain.logits([states[step]!]);
      const branch = guidance > 0 ? guidedProbabilities({ conditional: logits.unconditional }, codes, 0) : [];
      const whole = Float64Array.of(...guidedProbabilities(logits, codes, guidance), ...branch);
      expect(kept.length).toBe(whole.length);
      // of logarithms, so that improbable codes count as much; guided, each has five and four times an error of the logits
      let worst = 0;
      for (let i = 0; i < whole.length; i++) worst = Math.max(worst, Math.abs(Math.log(whole[i]! / kept[i]!)));
      expect(worst).toBeLessThan(1e-4);
      expect(new Set(whole).size).toBeGreaterThan(codes);
    }
    expect(watch.probabilities).toHaveLength(4);
    await plain.close();
  });

  test('a share of guided steps: the first ones, and then the words as learnt', async () => {
    const seen = watched(directRuntime({ intraOpThreads: 1 }));
    const part = new UniF2ace({ ...loaded, config: { ...loaded.config, guidedShare: 0.5 } }, seen.runtime);
    const plain = await plainDenoiser(loaded, directRuntime(), 'a smiling woman', 1);
    const start = [new Int32Array(imageCodes(loaded.config)).fill(unknownToken)];
    const { codes } = layoutOf(loaded.config);
    // 3 of 5: half, rounded up
    const denoise: StepProbabilities = async (state, step) =>
      guidedProbabilities(await plain.logits(state), codes, step < 3 ? 4 : 0);
    const expected: string[] = [];
    const sampling = {
      steps: 5,
      temperature: loaded.config.confidenceTemperature,
      codeGroups,
    };
    const draws = philoxDraws([new Philox(3, 0)], start[0]!.length);
    for await (const { tokens } of sampleMaskgit(start, codes, denoise, draws, sampling))
      expected.push(tokens[0]!.join());
    const tokensOf = async (drawer: UniF2ace, guidance: number) => {
      const tokens: string[] = [];
      const run = drawer.generate('a smiling woman', { steps: 5, seed: 3, guidance });
      for (let next = await run.next(); !next.done; next = await run.next()) tokens.push(next.value.tokens[0]!.join());
      return tokens;
    };
    expect(await tokensOf(part, 4)).toEqual(expected);
    expect(seen.rows).toEqual([2, 2, 2, 1, 1]);
    expect(await tokensOf(part, 0)).toEqual(await tokensOf(model, 0));
    expect(await tokensOf(model, 4)).not.toEqual(expected);
    await Promise.all([part.close(), plain.close()]);
  });

  test('routing: so many experts of a position as the model chooses, weights as the router gives them', async () => {
    const tokens = new Int32Array(imageCodes(loaded.config)).fill(unknownToken);
    const routing = await model.routing('a hat', tokens);
    const other = await model.routing('blond hair', tokens);
    const positions = tokens.length / codeGroups;
    expect(routing.map(({ level, layer }) => `${level} ${layer}`)).toEqual([
      'token 0',
      'sequence 0',
      'token 1',
      'sequence 1',
    ]);
    for (const { level, experts, weights } of routing) {
      const columns = level === 'token' ? positions : 1;
      expect(weights).toHaveLength(experts.length * columns);
      for (let column = 0; column < columns; column++) {
        const fired = experts.map((_, e) => weights[e * columns + column]!).filter((w) => w > 0);
        expect(fired).toHaveLength(2);
        const sum = fired.reduce((a, b) => a + b, 0);
        // sequence-level weights are renormalised, token-level ones are shares of a softmax
        if (level === 'sequence') expect(sum).toBeCloseTo(1, 5);
        else expect(sum).toBeLessThan(1);
      }
    }
    expect(routing[1]!.experts).toEqual(['copy', 'zero', 'noise', 'copy']);
    expect(other).not.toEqual(routing);
    await expect(model.routing('a', new Int32Array(3))).rejects.toThrow(/^routing: tokens: expected/);
  });

  test('routing of a face: the mean over the steps in which it was made, for each place in its request', async () => {
    const options = { steps: 3, seed: 6, guidance: 2 };
    const states = [new Array(3).fill(new Int32Array(imageCodes(loaded.config)).fill(unknownToken))];
    for await (const { tokens } of model.generate('a hat', { ...options, count: 3 })) states.push([...tokens]);
    for (const first of [0, 2]) {
      const steps = [];
      for (const state of states.slice(0, 3)) steps.push(await model.routing('a hat', state[first]!));
      const found = await generatedFaceRouting(model, 'a hat', { ...options, first });
      for (const [place, { weights }] of found.entries())
        for (const [i, weight] of weights.entries())
          expect(weight).toBeCloseTo(steps.reduce((sum, step) => sum + step[place]!.weights[i]!, 0) / 3, 6);
    }
  });

  test('routing of a picture: every position has its share of experts at every step, the seed decides', async () => {
    const found = await pictureRouting(model, photo(3), 'a hat', { steps: 4, seed: 1 });
    const { experts, weights } = found[0]!;
    const positions = weights.length / experts.length;
    for (let column = 0; column < positions; column++)
      expect(experts.filter((_, e) => weights[e * positions + column]! > 0).length).toBeGreaterThanOrEqual(2);
    expect(await pictureRouting(model, photo(3), 'a hat', { steps: 4, seed: 1 })).toEqual(found);
    expect(await pictureRouting(model, photo(3), 'a hat', { steps: 4, seed: 2 })).not.toEqual(found);
    expect(await pictureRouting(model, photo(4), 'a hat', { steps: 4, seed: 1 })).not.toEqual(found);
    await expect(pictureRouting(model, photo(3), 'a', { steps: 0 })).rejects.toThrow(
      /^pictureRouting: steps: expected/,
    );
    await expect(pictureRouting(model, photo(3), 'a', { signal: AbortSignal.abort() })).rejects.toThrow();
  });

  test('states are freed: answers, looks, abandoned answers; prompts are kept up to a bound', async () => {
    const looked = await model.look(photo(1));
    await collect(model.ask(looked, 'a?', { maxTokens: 3 }));
    const abandoned = model.ask(looked, 'a?', { maxTokens: 9 });
    await abandoned.next();
    await abandoned.return('');
    looked.free();
    await expect(collect(model.ask(looked, 'a?'))).rejects.toThrow(/freed/);
    for (let i = 0; i < 40; i++) await collect(model.generate(`a hat ${i}`, { steps: 1 }));
    expect(watch.states.count).toBeLessThanOrEqual(17);
  });
});

describe('BatchedEngine', () => {
  const runtime = workerRuntime({ intraOpThreads: 1 });
  const model = new UniF2ace(tinyModel(), runtime, true);
  afterAll(() => model.close());

  test('the queue is bounded, told its positions, and in order', async () => {
    const engine = new BatchedEngine(model, { active: 1, waiting: 2 });
    const told: number[][] = [[], [], []];
    const done: number[] = [];
    const run = (i: number) =>
      collect(engine.generate('a', { steps: 2, onQueued: (ahead) => told[i]!.push(ahead) })).then(() => done.push(i));
    const all = [run(0), run(1), run(2)];
    await expect(collect(engine.generate('a'))).rejects.toThrow(QueueFullError);
    expect(engine.load).toEqual({ active: 1, waiting: 2 });
    await Promise.all(all);
    await engine.drain();
    expect(told).toEqual([[0], [1, 0], [2, 1, 0]]);
    expect(done).toEqual([0, 1, 2]);
    expect(engine.load).toEqual({ active: 0, waiting: 0 });
  });

  test('who leaves while waiting, in the middle, or stops reading frees the place', async () => {
    const engine = new BatchedEngine(model, { active: 1 });
    const stop = new AbortController();
    const first = engine.generate('a', { steps: 300 });
    await first.next();
    const waiting = collect(engine.generate('b', { signal: stop.signal }));
    const last = collect(engine.describe(photo(1), { maxTokens: 3 }));
    stop.abort(new Error('left'));
    await expect(waiting).rejects.toThrow('left');
    await first.return([]);
    expect(typeof (await last)).toBe('string');
    // begun and never read: it goes on by itself
    const unread = engine.generate('a', { steps: 2 });
    await unread.next();
    await engine.drain();
    expect(await collect(unread)).toHaveLength(1);
    await expect(collect(engine.generate('a', { steps: 0 }))).rejects.toThrow(/^generate: steps/);
    expect(engine.load).toEqual({ active: 0, waiting: 0 });
  });

  test('limits out of range are refused; batch sizes are few', () => {
    expect(() => new BatchedEngine(model, { active: 0 })).toThrow(/^batchedEngine: active/);
    expect(Array.from({ length: 8 }, (_, i) => batchSize(i + 1))).toEqual([1, 2, 4, 4, 6, 6, 8, 8]);
    expect(batchSize(20)).toBe(24);
  });
});
