import { Philox } from '@unif2ace/graph';
import { describe, expect, test } from 'vitest';
import { guidedProbabilities } from './guidance.ts';
import {
  type MaskgitOptions,
  type MaskgitStep,
  philoxDraws,
  type StepProbabilities,
  sampleMaskgit,
  stayMasked,
  unknownToken,
} from './sampler-maskgit.ts';

const [tokens, codes] = [16, 5];
const blank = () => new Int32Array(tokens).fill(unknownToken);

/** Probabilities that depend on position, code and on what is visible. */
const network: StepProbabilities = async (images) => {
  const conditional = new Float32Array(images.length * tokens * codes);
  images.forEach((row, image) => {
    const visible = row.reduce((sum, token, i) => sum + (token + 1) * (i + 1), 0);
    for (let i = 0; i < tokens; i++)
      for (let v = 0; v < codes; v++)
        conditional[(image * tokens + i) * codes + v] = 2 * Math.sin(1.7 * i + 2.3 * v + 0.1 * visible);
  });
  return guidedProbabilities({ conditional }, codes, 0);
};

async function run(
  start: Int32Array[],
  seeds: number[],
  options: Partial<MaskgitOptions> = {},
  own = network,
): Promise<MaskgitStep[]> {
  const draws = philoxDraws(
    seeds.map((image) => new Philox(3, image)),
    tokens,
  );
  const steps: MaskgitStep[] = [];
  const settings = { steps: 6, temperature: 1, ...options };
  for await (const step of sampleMaskgit(start, codes, own, draws, settings)) steps.push(step);
  return steps;
}

const unknownIn = (row: Int32Array) => row.filter((token) => token === unknownToken).length;

describe('which codes stay masked', () => {
  const { POSITIVE_INFINITY: known } = Number;
  test.each<[string, number[], number, number, number[]]>([
    ['the least confident', [3, 1, 2, 4], 2, 1, [0, 1, 1, 0]],
    ['one of a position waits', [9, 8, 1, 2], 2, 2, [0, 1, 1, 0]],
    ['until every position had its turn', [9, 8, 1, 2], 1, 2, [0, 0, 1, 0]],
    ['beside a known one any may settle', [known, 8, 1, 2], 2, 2, [0, 0, 1, 1]],
    ['none', [1, 2], 0, 2, [0, 0]],
    ['all', [1, 2], 2, 1, [1, 1]],
    ['equal ones: as many as asked for', [5, 5, 5, 5], 2, 1, [0, 0, 1, 1]],
  ])('%s', (_, confidences, count, groups, wanted) => {
    expect([...stayMasked(Float64Array.from(confidences), count, groups)]).toEqual(wanted);
  });
});

describe('maskgit mode', () => {
  test('follows the cosine schedule and ends complete', async () => {
    const steps = await run([blank()], [0]);
    const schedule = [1, 2, 3, 4, 5, 6].map((s) => Math.floor(tokens * Math.cos((Math.PI * s) / 12) + 1e-9));
    expect(schedule).toEqual([15, 13, 11, 8, 4, 0]);
    expect(steps.map(({ tokens: [row] }) => unknownIn(row!))).toEqual(schedule);
    expect(steps.at(-1)!.tokens).toEqual(steps.at(-1)!.sampled);
    steps.forEach(({ temperature }, s) => {
      expect(temperature).toBeCloseTo(1 - (s + 1) / 6, 12);
    });
  });

  test('never touches a known token, drawn or given', async () => {
    // hot enough for noise to outweigh Show-o's log(float32 max) = 88.7
    const start = blank();
    for (const i of [0, 5, 11]) start[i] = i % codes;
    let before: Int32Array = start;
    for (const {
      tokens: [row],
      sampled: [sampled],
    } of await run([start], [0], { temperature: 1000 })) {
      before.forEach((token, i) => {
        if (token !== unknownToken) expect([row![i], sampled![i]]).toEqual([token, token]);
      });
      before = row!;
    }
    expect(unknownIn(before)).toBe(0);
    const complete = before.slice();
    // nothing is unknown: no step, no call of the network
    expect(await run([complete], [1])).toEqual([]);
  });

  test('image i depends on its own stream alone', async () => {
    const together = (await run([blank(), blank(), blank()], [0, 1, 2])).at(-1)!.sampled;
    for (const image of [0, 1, 2]) {
      expect((await run([blank()], [image])).at(-1)!.sampled).toEqual([together[image]]);
    }
    expect(new Set(together.map((row) => row.join())).size).toBe(3);
  });

  test('without temperature the least probable draws are masked again', async () => {
    const [{ selected, tokens: after, maskCounts }] = (await run([blank()], [0], { temperature: 0 })) as [MaskgitStep];
    const cut = Float64Array.from(selected[0]!).sort()[maskCounts[0]!]!;
    expect(after[0]!.map((token) => Number(token === unknownToken))).toEqual(
      Int32Array.from(selected[0]!, (p) => Number(p < cut)),
    );
  });

  test('one step draws every token from its own distribution, guidance applied', async () => {
    const scale = 1.5;
    const cond = Array.from({ length: codes }, (_, v) => Math.sin(v));
    const uncond = Array.from({ length: codes }, (_, v) => 0.5 * Math.cos(v));
    const guided = cond.map((c, v) => Math.exp((1 + scale) * c - scale * uncond[v]!));
    const total = guided.reduce((a, b) => a + b, 0);
    const repeat = (row: number[], images: number) =>
      Float32Array.from({ length: images * tokens * codes }, (_, n) => row[n % codes]!);
    const constant: StepProbabilities = async (images) =>
      guidedProbabilities(
        { conditional: repeat(cond, images.length), unconditional: repeat(uncond, images.length) },
        codes,
        scale,
      );
    const images = Array.from({ length: 1000 }, (_, i) => i);
    const [{ sampled }] = (await run(images.map(blank), images, { steps: 1 }, constant)) as [MaskgitStep];
    const counts = new Float64Array(codes);
    for (const row of sampled) for (const v of row) counts[v]!++;
    const draws = images.length * tokens;
    const statistic = counts.reduce((sum, count, v) => {
      const expected = (draws * guided[v]!) / total;
      return sum + (count - expected) ** 2 / expected;
    }, 0);
    // 0.1 % point of chi-square with 4 degrees of freedom
    expect(statistic).toBeLessThan(18.47);
  });
});

test('probabilities that are no numbers are refused', async () => {
  const broken: StepProbabilities = async (images) => new Float32Array(images.length * tokens * codes).fill(Number.NaN);
  await expect(run([blank()], [0], {}, broken)).rejects.toThrow(/expected finite logits, got a probability of NaN/);
});

describe('showo mode keeps the quirks of the original', () => {
  test('temperature compounds, one token of the state stays masked, the result is complete', async () => {
    const steps = await run([blank()], [0], { steps: 4, temperature: 2, mode: 'showo' });
    expect(steps.map(({ temperature }) => temperature)).toEqual([1.5, 0.75, 0.1875, 0]);
    expect(unknownIn(steps.at(-1)!.tokens[0]!)).toBe(1);
    expect(unknownIn(steps.at(-1)!.sampled[0]!)).toBe(0);
  });

  test('float32 makes 7 of 16 masked tokens at two thirds of the way, where Float64 has 8', async () => {
    const at = async (mode: 'showo' | 'maskgit') => (await run([blank()], [0], { steps: 3, mode }))[1]!.maskCounts;
    expect(await at('showo')).toEqual([7]);
    expect(await at('maskgit')).toEqual([8]);
  });

  test('masks a known token again when nothing is left to draw', async () => {
    const complete = Int32Array.from({ length: tokens }, (_, i) => i % codes);
    const [first] = await run([complete], [0], { mode: 'showo' });
    expect(unknownIn(first!.tokens[0]!)).toBe(1);
  });
});
