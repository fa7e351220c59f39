import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFloat32, decodeIntegers, readSafetensors } from '../checkpoint/safetensors.ts';
import {
  chooseToken,
  generateText,
  penalizeRepetition,
  type TextModel,
  type TextOptions,
  textProbabilities,
} from './decoding.ts';

const noDraw = () => {
  throw new Error('greedy must not draw');
};
// tenths: equal, or apart by more than rounding
const logitsOf = fc.array(
  fc.integer({ min: -200, max: 200 }).map((x) => x / 10),
  { minLength: 1, maxLength: 12 },
);

describe('Show-o’s mmu_generate, from its recorded probabilities', () => {
  const folder = join(import.meta.dirname, '..', '..', '..', '..', 'test', 'fixtures');
  const { config } = JSON.parse(readFileSync(join(folder, 'showo-sampling.json'), 'utf8')) as {
    config: { vocab_size: number; mmu: { temperature: number; top_k: number } };
  };
  const { tensors } = readSafetensors(readFileSync(join(folder, 'showo-sampling.safetensors')));
  const probs = decodeFloat32(tensors.get('outputs.mmu.probs')!);
  const tokens = decodeIntegers(tensors.get('outputs.mmu.tokens')!);
  const uniforms = decodeFloat32(tensors.get('inputs.mmu.u_multinomial')!);
  const { temperature, top_k: topK } = config.mmu;
  const steps = tokens.map((_, i) => probs.subarray(i * config.vocab_size, (i + 1) * config.vocab_size));

  test.each(steps.map((p, i) => ({ i, p })))('step $i', ({ i, p }) => {
    // logits that have these probabilities at that temperature; what top-k cut was below all that stayed
    const floor = Math.min(...p.filter((x) => x > 0));
    const logits = Array.from(p, (x) => temperature * Math.log(x > 0 ? x : floor / 2));
    const again = textProbabilities(logits, { temperature, topK });
    for (const [k, x] of p.entries()) expect(Math.abs(again[k]! - x)).toBeLessThan(1e-6);
    expect(again.filter((x) => x > 0).length).toBe(topK);
    expect(chooseToken(logits, { temperature, topK }, () => uniforms[i]!)).toBe(tokens[i]);
  });
});

describe('probabilities', () => {
  test('softmax of logits over temperature', () => {
    expect([...textProbabilities([Math.log(1), Math.log(3)])].map((x) => x.toFixed(12))).toEqual([
      '0.250000000000',
      '0.750000000000',
    ]);
    // temperature one half squares the odds
    expect(textProbabilities([Math.log(1), Math.log(3)], { temperature: 0.5 })[1]).toBeCloseTo(0.9, 12);
    expect([...textProbabilities([1000, 0, 1000], { temperature: 1e-300 })]).toEqual([0.5, 0, 0.5]);
  });

  test('top-k keeps ties of the k-th', () => {
    expect([...textProbabilities([2, 1, 1, 0], { topK: 2 })].map((p) => p > 0)).toEqual([true, true, true, false]);
    expect([...textProbabilities([2, 1, 1, 0], { topK: 9 })].every((p) => p > 0)).toBe(true);
  });

  test('top-p keeps the smallest set that reaches it', () => {
    const logits = [0.1, 0.4, 0.3, 0.2].map(Math.log);
    expect([...textProbabilities(logits, { topP: 0.65 })].map((p) => p.toFixed(4))).toEqual([
      '0.0000',
      '0.5714',
      '0.4286',
      '0.0000',
    ]);
    expect([...textProbabilities(logits, { topP: 1e-9 })]).toEqual([0, 1, 0, 0]);
  });

  test('sum to one and keep the order', () => {
    fc.assert(
      fc.property(
        logitsOf,
        fc.double({ min: 0.1, max: 5, noNaN: true }),
        fc.nat({ max: 12 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (logits, temperature, topK, topP) => {
          const p = textProbabilities(logits, { temperature, topK, topP });
          expect(p.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 10);
          expect(p[logits.indexOf(Math.max(...logits))]).toBe(Math.max(...p));
        },
      ),
    );
  });

  test.each<[number[], object, RegExp]>([
    [[1, Number.NaN], {}, /textProbabilities: logit 1 of 2 is NaN/],
    [[Number.NEGATIVE_INFINITY], {}, /largest of 1 logits is -Infinity/],
    [[1, Number.POSITIVE_INFINITY], {}, /largest of 2 logits is Infinity/],
    [[], {}, /largest of 0 logits/],
    [[1], { temperature: -1 }, /temperature -1; expected above 0/],
    [[1], { temperature: Number.NaN }, /temperature NaN/],
    [[1], { topK: -1 }, /topK -1; expected a whole number/],
    [[1], { topK: 1.5 }, /topK 1\.5/],
    [[1], { topP: 0 }, /topP 0; expected above 0/],
    [[1], { topP: 1.1 }, /topP 1\.1/],
  ])('%j with %j is refused', (logits, options, message) => {
    expect(() => chooseToken(logits, options, () => 0.5)).toThrow(message);
    expect(() => chooseToken(logits, options, () => 0.5)).toThrow(RangeError);
  });

  test('greedy refuses what is no number too', () => {
    expect(() => chooseToken([Number.NaN, 1], { temperature: 0 }, noDraw)).toThrow(/chooseToken: logit 0 of 2 is NaN/);
  });
});

describe('draws', () => {
  test('invert the cumulative sum', () => {
    const logits = Float32Array.from([0.2, 0.5, 0.3], Math.log);
    expect([0, 0.19, 0.21, 0.69, 0.71, 1 - 2 ** -53].map((u) => chooseToken(logits, {}, () => u))).toEqual([
      0, 0, 1, 1, 2, 2,
    ]);
  });

  test('never give a token of probability 0', () => {
    fc.assert(
      fc.property(
        logitsOf,
        fc.integer({ min: 2, max: 5 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (logits, topK, u) => {
          const options = { topK, topP: 0.9 };
          expect(textProbabilities(logits, options)[chooseToken(logits, options, () => u)]).toBeGreaterThan(0);
        },
      ),
    );
  });

  test('greedy takes the first of equals and draws nothing', () => {
    expect(chooseToken([1, 3, 3], { temperature: 0 }, noDraw)).toBe(1);
    expect(chooseToken([1, 3, 3], { topK: 1 }, noDraw)).toBe(1);
  });
});

test('repetition penalty lowers both signs, once for each token', () => {
  expect([...penalizeRepetition([2, -2, 4], [0, 1, 1], 2)]).toEqual([1, -4, 4]);
  expect(() => penalizeRepetition([1], [], 0)).toThrow(/penalty 0; expected a number above 0/);
});

/** Wants token t + 1 after t, beginning with 0; records what it is asked. */
function counter(vocabulary: number): TextModel & { read: (number | 'prompt')[] } {
  const read: (number | 'prompt')[] = [];
  const logits = (wanted: number) => Float32Array.from({ length: vocabulary }, (_, i) => -Math.abs(i - wanted));
  return {
    read,
    prefill: async () => {
      read.push('prompt');
      return logits(0);
    },
    step: async (token) => {
      read.push(token);
      return logits(token + 1);
    },
  };
}

async function run(model: TextModel, options: TextOptions) {
  const generator = generateText(model, options);
  const yielded: number[] = [];
  for (;;) {
    const next = await generator.next();
    if (next.done) return { yielded, ...next.value };
    yielded.push(next.value);
  }
}

describe('generateText', () => {
  const greedy = { temperature: 0, uniform: noDraw };

  test('stops at maxTokens, without a step for nothing', async () => {
    const model = counter(9);
    expect(await run(model, { ...greedy, maxTokens: 3 })).toEqual({
      yielded: [0, 1, 2],
      tokens: [0, 1, 2],
      finish: 'length',
    });
    expect(model.read).toEqual(['prompt', 0, 1]);
  });

  test('stops at a stop token, which is no part of the text', async () => {
    const model = counter(9);
    expect(await run(model, { ...greedy, maxTokens: 8, stopIds: [7, 2] })).toEqual({
      yielded: [0, 1],
      tokens: [0, 1],
      finish: 'stop',
    });
    expect(await run(counter(9), { ...greedy, maxTokens: 1, stopIds: [0] })).toMatchObject({
      tokens: [],
      finish: 'stop',
    });
  });

  test('chooses among allowed and stop tokens alone', async () => {
    const { tokens, finish } = await run(counter(9), { ...greedy, maxTokens: 8, allowedIds: [1, 3], stopIds: [6] });
    // wants 0, takes 1; wants 2, of 1 and 3 takes the first; for ever
    expect(new Set(tokens)).toEqual(new Set([1]));
    expect(finish).toBe('length');
    // a stop token need not be among the allowed
    const stopped = await run(counter(9), { ...greedy, maxTokens: 8, allowedIds: [0, 1], stopIds: [2] });
    expect(stopped).toMatchObject({ tokens: [0, 1], finish: 'stop' });
    const drawn = await run(counter(9), {
      temperature: 9,
      uniform: () => 1 - 2 ** -53,
      maxTokens: 2,
      allowedIds: [1, 3],
    });
    expect(drawn.tokens).toEqual([3, 3]);
    await expect(run(counter(9), { ...greedy, maxTokens: 1, allowedIds: [9] })).rejects.toThrow(
      /allowed token 9; expected 0 to 8/,
    );
  });

  test('a penalty breaks a loop', async () => {
    const stuck: TextModel = { prefill: async () => [3, 2, 1], step: async () => [3, 2, 1] };
    expect((await run(stuck, { ...greedy, maxTokens: 3 })).tokens).toEqual([0, 0, 0]);
    expect((await run(stuck, { ...greedy, maxTokens: 3, repetitionPenalty: 4 })).tokens).toEqual([0, 1, 2]);
  });

  test('draws once for each token, the same for the same numbers', async () => {
    const uniforms = [0.1, 0.9, 0.5, 0.3];
    let drawn = 0;
    const options = { temperature: 2, maxTokens: 4, uniform: () => uniforms[drawn++ % 4]! };
    const first = await run(counter(5), options);
    expect(drawn).toBe(4);
    expect(await run(counter(5), options)).toEqual(first);
  });

  test('an aborted signal stops before the next step, with its reason', async () => {
    const model = counter(9);
    const controller = new AbortController();
    const generator = generateText(model, { ...greedy, maxTokens: 8, signal: controller.signal });
    expect((await generator.next()).value).toBe(0);
    controller.abort(new Error('enough'));
    await expect(generator.next()).rejects.toThrow('enough');
    expect(model.read).toEqual(['prompt']);
    const never = counter(9);
    await expect(
      run(never, { ...greedy, maxTokens: 1, signal: AbortSignal.abort(new Error('early')) }),
    ).rejects.toThrow('early');
    expect(never.read).toEqual([]);
  });

  test('maxTokens below 1 is refused', async () => {
    await expect(run(counter(2), { ...greedy, maxTokens: 0 })).rejects.toThrow(
      /generateText: maxTokens 0; expected a whole number from 1/,
    );
  });
});
