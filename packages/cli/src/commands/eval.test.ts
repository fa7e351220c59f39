import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AttributeClassifierConfig, attributeLogits, readGeneration } from '@unif2ace/core';
import { decodeImage, saveAttributeClassifier } from '@unif2ace/core/node';
import { input, ParamScope } from '@unif2ace/graph';
import { classifiedAttributes, readCelebA } from '@unif2ace/lab';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeTinyCelebA } from '../../../lab/src/data/build/test/tiny-celeba.ts';
import { run } from '../program.ts';
import { type Outcome, outcomeOf } from '../test/outcome.ts';
import { randomParameter, saveTinyModel } from '../test/tiny-model.ts';

let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'eval-'));
  // it reads long prompts
  await saveTinyModel(join(home, 'weights', 'tiny'), { promptTokens: 160, codeGroups: 2 });
  const config = AttributeClassifierConfig.parse({
    format: 'unif2ace-attributes-1',
    name: 'judge',
    encoder: { imageSize: 16, channels: [8, 16], groups: 4, width: 12 },
    attributes: classifiedAttributes,
  });
  const root = new ParamScope();
  attributeLogits(root, config, input('pixels', [1, 3, 16, 16]));
  const weights = new Map(root.specs().map((spec) => [spec.name, randomParameter(spec)]));
  await saveAttributeClassifier(join(home, 'weights', 'judge'), config, weights);
  const data = join(home, 'celeba');
  await writeTinyCelebA(data, 93);
  // 60 of test identities, 30 of training identities, 3 of validation identities
  const identities = Array.from(
    { length: 93 },
    (_, i) => `${String(i + 1).padStart(6, '0')}.jpg ${i >= 90 ? 11 : i % 3 === 0 ? 12 : 10}`,
  );
  await writeFile(join(data, 'identity_CelebA.txt'), `${identities.join('\n')}\n`);
}, 60_000);

afterAll(() => rm(home, { recursive: true, force: true }));

function evaluate(...args: string[]): Promise<Outcome> {
  const model = args[0] === 'attributes' ? join('weights', 'judge') : 'tiny';
  return outcomeOf({ cwd: home, root: home, signal: new AbortController().signal }, (env) =>
    run(['eval', ...args, '--model', model, '--data', 'celeba'], env),
  );
}

it('generation: report and pictures, the same from the same seed', { timeout: 120_000 }, async () => {
  const args = ['generation', '--faces', '12', '--steps', '2', '--json'];
  const first = await evaluate(...args, '--out', 'one');
  expect(first.code, first.stderr).toBe(0);
  const { scores, pictures, judge } = JSON.parse(first.stdout);
  expect(judge.name).toBe('judge');
  expect(scores).toMatchObject({ faces: 12, pairs: 2, testFaces: 60, trainingFaces: 30 });
  expect(scores.attributes).toHaveLength(12);
  for (const { areaUnderRoc } of scores.attributes) expect([0, 0.25, 0.5, 0.75, 1]).toContain(areaUnderRoc);
  expect(scores.frechet.ratio).toBeCloseTo(scores.frechet.generated / scores.frechet.floor.mean, 9);
  expect(scores.frechet.floor.lowest).toBeGreaterThan(0);
  // noise of a random model is far from any photo
  expect(scores.frechet.ratio).toBeGreaterThan(1);
  for (const { generated, test } of Object.values<Record<string, Record<string, number>>>(scores.nearest))
    for (const { minimum, onePercent, median } of [generated!, test!] as { [key: string]: number }[]) {
      expect(onePercent).toBeGreaterThanOrEqual(minimum!);
      expect(median).toBeGreaterThan(onePercent!);
    }
  const samples = await readFile(pictures[0]);
  expect(readGeneration(samples)).toMatchObject({ prompt: 'captions of test faces', seed: 1 });
  expect(readGeneration(await readFile(pictures[1]))).toBeUndefined();
  const grid = await decodeImage(samples);
  expect([grid.width, grid.height]).toEqual([8 * 16 + 9 * 2, 2 * 16 + 3 * 2]);

  const again = JSON.parse((await evaluate(...args, '--out', 'two')).stdout);
  expect(again.scores).toEqual(scores);
});

it('generation: what cannot be measured is said in one line', async () => {
  const tooMany = await evaluate('generation', '--faces', '31');
  expect(tooMany.code).toBe(1);
  expect(tooMany.stderr).toBe(
    '--faces: expected at most as many as there are training faces (30), got 31; try --faces 30\n',
  );
  const noJudge = await evaluate('generation', '--faces', '4', '--judge', 'weights/none');
  expect(noJudge.code).toBe(1);
  expect(noJudge.stderr.split('\n')).toHaveLength(2);
  expect(noJudge.stderr).toContain('weights/none');
  expect((await evaluate('generation', '--faces', '1')).code).toBe(2);
  const noSplit = await evaluate('generation', '--split', 'train');
  expect([noSplit.code, noSplit.stderr]).toEqual([2, expect.stringContaining('test or validation')]);
});

it('tokenizer: both codebooks of a position are counted', async () => {
  const { code, stdout } = await evaluate('tokenizer', '--faces', '5', '--json');
  expect(code).toBe(0);
  const { scores, faces } = JSON.parse(stdout);
  expect(faces).toBe(5);
  expect(scores.codes).toBe(8);
  expect(scores.codesUsed).toHaveLength(2);
  for (const [group, used] of scores.codesUsed.entries()) {
    expect(used).toBeGreaterThan(0);
    expect(scores.codePerplexity[group]).toBeLessThanOrEqual(used + 1e-9);
  }
  expect(scores.meanSsim).toBeLessThan(1);
  expect((await evaluate('tokenizer', '--faces', '5')).stdout).toMatch(/SSIM, mean over faces +\d\.\d{3}\n/);
});

it("understanding: one question for each of CelebA's attributes, and their mean", async () => {
  const { code, stdout } = await evaluate('understanding', '--faces', '1', '--json');
  expect(code).toBe(0);
  const { scores, attributes } = JSON.parse(stdout);
  const topics = scores.map(({ topic }: { topic: string }) => topic);
  expect(topics).toContain('gender');
  expect(topics).not.toContain('age');
  expect(attributes.asked + attributes.missing.length).toBe(38);
  const text = (await evaluate('understanding', '--faces', '12', '--topics', 'Smiling')).stdout;
  expect(text).toMatch(/mean balanced accuracy over 1 of CelebA's attributes +\d+\.\d %/);
});

it('settings can be chosen on validation identities, never on training ones', async () => {
  const { code, stdout } = await evaluate('understanding', '--topics', 'Smiling', '--split', 'validation', '--json');
  expect(code).toBe(0);
  const { split, faces, scores } = JSON.parse(stdout);
  expect([split, faces, scores[0].asked]).toEqual(['validation', 3, 3]);
  const refused = await evaluate('understanding', '--split', 'train');
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/--split: expected test or validation, got "train"/);
});

it('routing: loads of every layer, level and task, as figures and as a page', async () => {
  const { code, stdout } = await evaluate('routing', '--faces', '6', '--json', '--html', 'routing.html');
  expect(code).toBe(0);
  const { routers, tokens } = JSON.parse(stdout);
  expect(routers).toHaveLength(8);
  expect(tokens.t2i).toBeGreaterThan(0);
  for (const { load, meanScore, loadEntropy } of routers) {
    expect(load.reduce((a: number, b: number) => a + b, 0)).toBeCloseTo(1, 9);
    expect(meanScore.reduce((a: number, b: number) => a + b, 0)).toBeCloseTo(1, 4);
    expect(loadEntropy).toBeLessThanOrEqual(1 + 1e-9);
  }
  const page = await readFile(join(home, 'routing.html'), 'utf8');
  expect(page.match(/<table/g)).toHaveLength(4);
  expect(page).toContain('copy');
  expect((await evaluate('routing', '--faces', '6')).stdout).toMatch(/mmu +sequence +1/);
});

it('an unknown thing to measure is a wrong use', async () => {
  const { code, stderr } = await evaluate('looks');
  expect(code).toBe(2);
  expect(stderr).toContain('looks');
});

it('attributes: a classifier that reads faces at random tells nothing, and says how little', async () => {
  const run = (...more: string[]) => evaluate('attributes', ...more);
  const { code, stdout, stderr } = await run('--json');
  expect(code, stderr).toBe(0);
  const { what, model, scores } = JSON.parse(stdout);
  expect({ what, name: model.name, faces: scores.faces }).toEqual({ what: 'attributes', name: 'judge', faces: 60 });
  const labels = (await readCelebA(join(home, 'celeba'))).filter(({ split }) => split === 'test');
  expect(Object.keys(scores.attributes)).toEqual(classifiedAttributes);
  for (const name of classifiedAttributes)
    expect(scores.attributes[name].share).toBeCloseTo(
      labels.filter(({ attributes }) => attributes[name]).length / 60,
      12,
    );
  const values = Object.values<Record<string, number>>(scores.attributes);
  const mean = (key: string) => values.reduce((sum, figures) => sum + figures[key]!, 0) / values.length;
  expect(scores.meanAreaUnderRoc).toBeCloseTo(mean('areaUnderRoc'), 9);
  expect(scores.meanCalibrationError).toBeCloseTo(mean('calibrationError'), 9);
  expect(scores.meanBalancedAtHalf).toBeCloseTo(mean('balancedAtHalf'), 9);
  expect(scores.meanBalancedAtFrequency).toBeCloseTo(mean('balancedAtFrequency'), 9);
  expect(Math.abs(scores.meanAreaUnderRoc - 0.5)).toBeLessThan(0.05);
  expect((await run()).stdout).toMatch(
    /^faces of test identities {2}60\n[\s\S]*\nSmiling +0\.\d{3} [\s\S]*\nmean +0\.\d{3} /,
  );
  const missing = await evaluate('attributes', '--faces', '0');
  expect(missing).toMatchObject({ code: 2, stderr: expect.stringMatching(/^--faces: expected a whole number from 1/) });
});
