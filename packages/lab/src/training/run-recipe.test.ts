import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePng, pixelImage, readGeneration, UniF2ace } from '@unif2ace/core';
import { loadModel } from '@unif2ace/core/node';
import { Philox, type Runtime } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { attributeNames } from '../data/grammar/attributes.ts';
import type { TrainEvent } from './events.ts';
import type { Recipe } from './recipe.ts';
import { runRecipe } from './run-recipe.ts';
import { tinyModelStage as modelStage, tinyStage as stage, tinyRecipe } from './test/tiny-recipe.ts';

let root: string;
let data: string;
const faces = 30;

/** A folder in CelebA's layout: noise pictures, brighter where the face is labelled male. */
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'unif2ace-train-'));
  data = join(root, 'celeba');
  await mkdir(join(data, 'img_align_celeba'), { recursive: true });
  const random = new Philox(1);
  const rows: string[] = [];
  const identities: string[] = [];
  for (let i = 0; i < faces; i++) {
    const name = `${String(i + 1).padStart(6, '0')}.jpg`;
    const labels = attributeNames.map(() => (random.uniform() < 0.4 ? 1 : -1));
    const level = labels[attributeNames.indexOf('Male')] === 1 ? 180 : 80;
    const pixels = Uint8Array.from({ length: 89 * 109 * 3 }, () => level + random.int(40));
    await writeFile(join(data, 'img_align_celeba', name), encodePng(pixelImage(89, 109, pixels)));
    rows.push(`${name} ${labels.join(' ')}`);
    identities.push(`${name} ${i}`);
  }
  await writeFile(join(data, 'list_attr_celeba.txt'), `${faces}\n${attributeNames.join(' ')}\n${rows.join('\n')}\n`);
  await writeFile(join(data, 'identity_CelebA.txt'), `${identities.join('\n')}\n`);
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function run(
  out: string,
  recipe = tinyRecipe(),
  more: { resume?: boolean; from?: string; signal?: AbortSignal; tensorboard?: boolean } = {},
) {
  const events: TrainEvent[] = [];
  await runRecipe(recipe, { out: join(root, out), dataFolder: data, onEvent: (event) => events.push(event), ...more });
  return events;
}

/** A runtime that calls back after so many training steps were computed. */
function afterTrainingRuns(count: number, then: () => void): Runtime {
  const runtime = directRuntime();
  let runs = 0;
  return {
    ...runtime,
    createSession: async (model, options) => {
      const session = await runtime.createSession(model, options);
      return {
        inputNames: session.inputNames,
        outputNames: session.outputNames,
        release: () => session.release(),
        run: async (feeds, fetches) => {
          const values = await session.run(feeds, fetches);
          if (session.outputNames.some((name) => name.startsWith('grad.')) && ++runs === count) then();
          return values;
        },
      };
    },
  };
}

const weightsOf = (out: string) => readFile(join(root, out, 'model.safetensors'));

describe('a whole training run on a small folder', () => {
  test('leaves a model that generates, describes and answers; progress has the promised figures', async () => {
    const events = await run('a');
    const progress = events.filter((event) => event.kind === 'progress');
    expect(new Set(progress.map((event) => event.stage))).toEqual(
      new Set(['face encoder', 'tokenizer', 'captions', 'questions']),
    );
    for (const event of progress) {
      expect(event.loss).toBeGreaterThan(0);
      expect(event.tokensPerSecond).toBeGreaterThan(0);
      expect(event.etaSeconds).toBeGreaterThanOrEqual(0);
    }
    const model = new UniF2ace(await loadModel(join(root, 'a')), directRuntime());
    const photo = pixelImage(89, 109);
    const generation = model.generate('a man', { steps: 2 });
    let next = await generation.next();
    while (!next.done) next = await generation.next();
    expect(next.value[0]).toMatchObject({ width: 8, height: 8 });
    const answer = model.ask(photo, 'Is this a man or a woman?', { maxTokens: 3 });
    let word = await answer.next();
    while (!word.done) word = await answer.next();
    expect(typeof word.value).toBe('string');
    await model.close();
  });

  test('samples and routing are seen on the way and change no byte; the files tell the same', async () => {
    const samples = { everySteps: 2, prompts: ['a man', 'a woman'], facesPerPrompt: 2, faces: 1 };
    const events = await run('seen', tinyRecipe({ monitor: { samples, routing: { everySteps: 1 } } }), {
      tensorboard: true,
    });
    expect(await weightsOf('seen')).toEqual(await weightsOf('a'));
    const of = <K extends TrainEvent['kind']>(kind: K) =>
      events.filter((event): event is Extract<TrainEvent, { kind: K }> => event.kind === kind);
    // at step 2 and at the end of each stage
    expect(of('samples').map(({ stage, step }) => `${stage} ${step}`)).toEqual([
      'captions 2',
      'captions 3',
      'questions 2',
      'questions 3',
    ]);
    for (const { file, stage, step, prompts } of of('samples')) {
      const stamp = readGeneration(await readFile(join(root, 'seen', file)));
      expect(stamp).toMatchObject({
        prompt: prompts.join('; '),
        seed: 0,
        settings: { steps: 12, guidance: 3, weights: 'average', stage, step, facesPerPrompt: 2 },
        modelHash: expect.stringMatching(/^[0-9a-f]{64}$/),
      });
    }
    const { answers } = of('answers').at(-1)!;
    expect(answers.map(({ expected }) => typeof expected)).toEqual(answers.map(() => 'string'));
    expect(answers.length).toBeGreaterThanOrEqual(3);
    const { routers } = of('routing').at(-1)!;
    expect(routers.map(({ task, level, layer }) => [task, level, layer].join())).toEqual([
      't2i,token,0',
      't2i,sequence,0',
      'mmu,token,0',
      'mmu,sequence,0',
    ]);
    for (const { load } of routers) expect(load.reduce((a, b) => a + b)).toBeCloseTo(4, 2);
    const lines = (await readFile(join(root, 'seen', 'metrics.jsonl'), 'utf8')).trim().split('\n');
    const written = lines.map((line) => JSON.parse(line) as TrainEvent & { time: string });
    expect(written.map(({ time: _, ...event }) => event)).toEqual(JSON.parse(JSON.stringify(events)));
    expect((await readdir(join(root, 'seen', 'tensorboard'))).sort()).toEqual([
      'captions',
      'face-encoder',
      'questions',
      'tokenizer',
    ]);
  });

  test('the same seed gives the same bytes, resuming takes finished stages as they are', async () => {
    await run('b');
    expect(await weightsOf('b')).toEqual(await weightsOf('a'));
    await rm(join(root, 'b', 'stages', 'questions.safetensors'));
    await rm(join(root, 'b', 'model.safetensors'));
    const events = await run('b', tinyRecipe(), { resume: true });
    expect(new Set(events.flatMap((event) => (event.kind === 'progress' ? [event.stage] : [])))).toEqual(
      new Set(['questions']),
    );
    expect(await weightsOf('b')).toEqual(await weightsOf('a'));
  });

  test('a run stopped after every second step and resumed gives the bytes of one never stopped', async () => {
    const out = join(root, 'stops');
    let stops = 0;
    for (;;) {
      const stop = new AbortController();
      const going = runRecipe(tinyRecipe(), {
        out,
        dataFolder: data,
        resume: true,
        signal: stop.signal,
        onEvent: () => {},
        runtime: afterTrainingRuns(2, () => stop.abort()),
      });
      const stopped = await going.then(
        () => false,
        (error: Error) => /^train: stopped in/.test(error.message),
      );
      if (!stopped) break;
      stops++;
    }
    // four stages of three steps
    expect(stops).toBeGreaterThanOrEqual(5);
    expect(await weightsOf('stops')).toEqual(await weightsOf('a'));
    expect(await readdir(join(out, 'checkpoints'))).toEqual([]);
  });

  test('killed at any step, the checkpoint before it leads to the same bytes', async () => {
    const out = join(root, 'killed');
    const broken = runRecipe(tinyRecipe(), {
      out,
      dataFolder: data,
      checkpointEvery: { steps: 1 },
      onEvent: () => {},
      // a crash in the third step of the last stage
      runtime: afterTrainingRuns(12, () => {
        throw new Error('power cut');
      }),
    });
    await expect(broken).rejects.toThrow('power cut');
    const log = await run('killed', tinyRecipe(), { resume: true });
    expect(log).toContainEqual({ kind: 'log', text: 'resumed: questions at step 2 of 3' });
    expect(await weightsOf('killed')).toEqual(await weightsOf('a'));
  });

  test('a checkpoint of other settings is refused', async () => {
    await run('other');
    await rm(join(root, 'other', 'stages', 'questions.safetensors'));
    const stop = new AbortController();
    const more = {
      out: join(root, 'other'),
      dataFolder: data,
      resume: true,
      signal: stop.signal,
      onEvent: () => {},
      runtime: afterTrainingRuns(2, () => stop.abort()),
    };
    await expect(runRecipe(tinyRecipe(), more)).rejects.toThrow('train: stopped in questions at step 2 of 3');
    const recipe = tinyRecipe();
    const changed = recipe.backbone.map((stage) => ({ ...stage, learningRate: 5e-4 }));
    await expect(run('other', { ...recipe, backbone: changed }, { resume: true })).rejects.toThrow(
      /expected settings[.]learningRate 0[.]0005 as this recipe has it, got 0[.]001; try the recipe it was made with/,
    );
  });

  test('a discriminator and features of the encoder join the tokenizer, and resume to the bit with it', async () => {
    const stages = {
      ...stage,
      batch: 4,
      steps: 6,
      perceptualWeight: 0.5,
      adversary: { weight: 0.1, fromStep: 1, channels: [8, 8], learningRate: 1e-3 },
    };
    const recipe = tinyRecipe({ tokenizer: stages });
    const events = await run('adversary', recipe);
    const figures = events.filter((event) => event.kind === 'progress').find((event) => event.stage === 'tokenizer');
    expect(figures!.metrics).toMatchObject({ perceptual: expect.any(Number), discriminator: expect.any(Number) });
    expect(figures!.metrics.perceptual).toBeGreaterThan(0);
    const out = join(root, 'adversary-stopped');
    const more = { out, dataFolder: data, resume: true, onEvent: () => {} };
    const stop = new AbortController();
    // three of the encoder, then tokenizer and discriminator in turn: in the fourth step of the tokenizer
    const runtime = afterTrainingRuns(3 + 1 + 2 + 2 + 1, () => stop.abort());
    await expect(runRecipe(recipe, { ...more, signal: stop.signal, runtime })).rejects.toThrow(
      'train: stopped in tokenizer at step 4 of 6',
    );
    await runRecipe(recipe, more);
    expect(await weightsOf('adversary-stopped')).toEqual(await weightsOf('adversary'));
    const deaf = tinyRecipe({ tokenizer: { ...stages, adversary: { ...stages.adversary, weight: 0 } } });
    await run('deaf', deaf);
    expect(await weightsOf('deaf')).not.toEqual(await weightsOf('adversary'));
    const parts = tinyRecipe({ tokenizer: { ...stages, accumulation: 2 } });
    await expect(run('parts', parts)).rejects.toThrow('tokenizer.accumulation: expected 1 beside an adversary, got 2');
  });

  test('the decoder alone: every code stays, pictures change', async () => {
    const decoder = { ...stage, name: 'decoder', batch: 4, perceptualWeight: 0.5 };
    await run('decoder', tinyRecipe({ decoder: [decoder] }));
    const [before, after] = await Promise.all(
      ['a', 'decoder'].map(async (out) => new UniF2ace(await loadModel(join(root, out)), directRuntime())),
    );
    const photo = pixelImage(89, 109);
    expect(await after!.encode([photo])).toEqual(await before!.encode([photo]));
    expect(await after!.reconstruct(photo)).not.toEqual(await before!.reconstruct(photo));
    await Promise.all([before, after].map((model) => model!.close()));

    await run('blended', tinyRecipe({ decoder: [{ ...decoder, blend: 0.25 }] }));
    const [old, trained, blended] = await Promise.all(
      ['a', 'decoder', 'blended'].map(async (out) => (await loadModel(join(root, out))).weights),
    );
    const name = 'tokenizer.decoder.conv_in.weight';
    const [from, to, got] = [old, trained, blended].map((weights) => weights!.get(name)!);
    // stored as float16
    got!.forEach((value, i) => {
      expect(Math.abs(value - (0.75 * from![i]! + 0.25 * to![i]!))).toBeLessThan(2e-3 * Math.max(1, Math.abs(value)));
    });
    expect(got).not.toEqual(from);
  });

  test('a decoder of more blocks goes on from a trained model as it was, then alone', async () => {
    const larger = (blend: number): Recipe => {
      const recipe = tinyRecipe();
      const model = (size: number) => {
        const made = recipe.model(size);
        return { ...made, tokenizer: { ...made.tokenizer, decoder: { ...made.tokenizer.decoder, resBlocks: [2, 3] } } };
      };
      return { ...recipe, backbone: [], model, decoder: [{ ...stage, name: 'larger', batch: 4, blend }] };
    };
    const from = { from: join(root, 'a') };
    // of what is trained nothing is taken
    await run('grown', larger(0), from);
    await run('grown-trained', larger(1), from);
    const models = await Promise.all(
      ['a', 'grown', 'grown-trained'].map(
        async (out) => new UniF2ace(await loadModel(join(root, out)), directRuntime()),
      ),
    );
    const photo = pixelImage(
      89,
      109,
      new Uint8Array(89 * 109 * 3).map((_, i) => i % 251),
    );
    const [before, grown, trained] = await Promise.all(models.map((model) => model.reconstruct(photo)));
    expect(grown).toEqual(before);
    expect(trained).not.toEqual(before);
    const codes = await Promise.all(models.map((model) => model.encode([photo])));
    expect(codes[2]).toEqual(codes[0]);
    await Promise.all(models.map((model) => model.close()));
    await expect(run('no-stage', larger(1))).rejects.toThrow(
      'backbone: expected at least one stage, got none; try --from',
    );
    expect(existsSync(join(root, 'no-stage'))).toBe(false);
    const { tokenizer } = larger(1).model(300);
    const smaller = { ...tokenizer, decoder: { ...tokenizer.decoder, resBlocks: [1, 1] } };
    await expect(
      run(
        'smaller',
        { ...larger(1), model: (size) => ({ ...larger(1).model(size), tokenizer: smaller }) },
        { from: join(root, 'grown') },
      ),
    ).rejects.toThrow(/tokenizer[.]decoder[.]resBlocks.*expected 1 as in the recipe, got 2/);
  });

  test('goes on from a trained model: what is not trained stays, a model of other sizes is refused by field', async () => {
    const more = { ...tinyRecipe(), backbone: [{ ...modelStage, name: 'more' }] };
    const options = { dataFolder: data, onEvent: () => {} };
    await runRecipe(more, { ...options, out: join(root, 'further'), from: join(root, 'a') });
    const [before, after] = await Promise.all(
      ['a', 'further'].map(async (out) => (await loadModel(join(root, out))).weights),
    );
    for (const [name, values] of before!) {
      const change = values.some((value, i) => value !== after!.get(name)![i]);
      if (/^(tokenizer|face_encoder)/.test(name)) expect(change).toBe(false);
      if (/q_proj.weight$/.test(name)) expect(change).toBe(true);
    }
    const changed = (change: object): typeof more => ({
      ...more,
      model: (size: number) => ({ ...more.model(size), ...change }),
    });
    await expect(
      runRecipe(changed({ promptTokens: 20 }), { ...options, out: join(root, 'shorter'), from: join(root, 'a') }),
    ).rejects.toThrow(/--from .*: promptTokens: expected 20 as in the recipe, got 24/);
    // what pictures are drawn by is no matter of parameters, and the recipe's is taken
    const bolder = changed({ guidance: 2, guidedShare: 0.5, confidenceTemperature: 9 });
    await runRecipe(bolder, { ...options, out: join(root, 'bolder'), from: join(root, 'a') });
    const { config } = await loadModel(join(root, 'bolder'));
    expect([config.guidance, config.guidedShare, config.confidenceTemperature]).toEqual([2, 0.5, 9]);
  });

  test('one part after the other or all at once: the same loss', async () => {
    /** Mean over the stage's steps; on a busy machine progress comes more often, of fewer steps each. */
    const meanLoss = async (accumulation: number) => {
      const stages = tinyRecipe().backbone.map((stage) => ({ ...stage, accumulation, balanceCoefficient: 0 }));
      const events = await run(`parts${accumulation}`, tinyRecipe({ backbone: stages }));
      let [sum, steps] = [0, 0];
      for (const event of events)
        if (event.kind === 'progress' && event.stage === 'questions') {
          sum += event.loss * (event.step - steps);
          steps = event.step;
        }
      return sum / steps;
    };
    const [whole, parts] = [await meanLoss(1), await meanLoss(2)];
    expect(parts).toBeCloseTo(whole, 5);
  });

  test('a stage of one task leaves every answer as it was, to the bit', async () => {
    const recipe = tinyRecipe();
    const faces = { ...modelStage, name: 'faces', only: 't2i', mmuBatch: 0 } as const;
    await run('only', { ...recipe, backbone: [...recipe.backbone, faces] });
    const [before, after] = await Promise.all(
      ['a', 'only'].map(async (out) => new UniF2ace(await loadModel(join(root, out)), directRuntime())),
    );
    const say = async (model: UniF2ace) => {
      const words: string[] = [];
      for await (const word of model.describe(pixelImage(89, 109), { maxTokens: 12 })) words.push(word);
      return words;
    };
    expect(await say(after!)).toEqual(await say(before!));
    const face = async (model: UniF2ace) => {
      const running = model.generate('a man', { steps: 4, seed: 3 });
      let next = await running.next();
      const tokens: string[] = [];
      while (!next.done) {
        tokens.push(String(next.value.tokens[0]));
        next = await running.next();
      }
      return tokens;
    };
    expect(await weightsOf('only')).not.toEqual(await weightsOf('a'));
    expect((await face(after!)).length).toBe(4);
    await Promise.all([before!.close(), after!.close()]);
    const alone = { ...recipe, backbone: [faces] };
    await expect(run('alone', alone)).rejects.toThrow('expected a stage of both tasks before one of t2i only');
  });

  test.each(['fullVocabulary', 'unnormalized'] as const)('trains with the %s score', async (parameterization) => {
    const recipe = tinyRecipe();
    await run(parameterization, {
      ...recipe,
      backbone: recipe.backbone.map((stage) => ({ ...stage, loss: { ...stage.loss, parameterization } })),
    });
    expect(await weightsOf(parameterization)).not.toEqual(await weightsOf('a'));
  });

  test('as many sequences as cannot be contrasted evenly are refused by name', async () => {
    const contrasted = {
      ...modelStage,
      name: 'words',
      promptEmphasis: { share: 0, attributes: { Smiling: 1 } },
      contrast: { every: 3, coefficient: 1, scale: 0.25, fewestMasked: 0.75 },
    };
    await expect(run('uneven', tinyRecipe({ backbone: [contrasted] }))).rejects.toThrow(
      'train: contrast.every: expected a divisor of the 2 text-to-image sequences of a part, got 3',
    );
  });

  test('a loss that is no number ends the run with its stage and step, and no model', async () => {
    const recipe = tinyRecipe({ tokenizer: { ...stage, steps: 30, learningRate: 1e18, clipNorm: 1e30, batch: 4 } });
    await expect(run('bad', recipe)).rejects.toThrow(
      /^train: tokenizer step \d+: expected a finite loss and gradients, got .* in the (parameter|gradient) of tokenizer[.]/,
    );
    expect(existsSync(join(root, 'bad', 'model.safetensors'))).toBe(false);
  });

  test('an aborted run says where it stopped and keeps finished stages', async () => {
    const stop = new AbortController();
    const out = join(root, 'stopped');
    const going = runRecipe(tinyRecipe(), {
      out,
      dataFolder: data,
      signal: stop.signal,
      onEvent: (event) => {
        if (event.kind === 'stage' && event.name === 'tokenizer') stop.abort();
      },
    });
    await expect(going).rejects.toThrow('train: stopped in tokenizer at step 0 of 3');
    expect(existsSync(join(out, 'stages', 'face-encoder.safetensors'))).toBe(true);
    expect(existsSync(join(out, 'model.safetensors'))).toBe(false);
  });

  test('a missing data folder is named', async () => {
    await expect(
      runRecipe(tinyRecipe(), { out: join(root, 'none'), dataFolder: join(root, 'nowhere'), onEvent: () => {} }),
    ).rejects.toThrow(/nowhere/);
  });
});
