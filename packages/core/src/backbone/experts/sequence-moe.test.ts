import { evaluate, gradients, input, ParamScope, reduceSum } from '@unif2ace/graph';
import { describe, expect, test } from 'vitest';
import { SequenceMoeConfig, sequenceMoe } from './sequence-moe.ts';

const [batch, length, width] = [3, 4, 5];
const shape = [batch, length, width];
const values = (seed: number, count = batch * length * width) =>
  Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i));

/** The definition written out: pool, route, renormalise, mix (paper §2.4). */
function reference(
  x: number[],
  features: Record<string, number[]>,
  experts: readonly string[],
  gate: number[],
  k: number,
  w: number,
): number[] {
  const y = new Array<number>(x.length).fill(0);
  for (let b = 0; b < batch; b++) {
    const span = x.slice(b * length * width, (b + 1) * length * width);
    const mean = Array.from(
      { length: width },
      (_, d) => Array.from({ length }, (_, n) => span[n * width + d]!).reduce((a, c) => a + c, 0) / length,
    );
    const logits = experts.map((_, e) => mean.reduce((sum, m, d) => sum + m * gate[e * width + d]!, 0));
    const total = logits.reduce((sum, l) => sum + Math.exp(l), 0);
    const scores = logits.map((l) => Math.exp(l) / total);
    const chosen = [...scores.keys()].sort((p, q) => scores[q]! - scores[p]! || p - q).slice(0, k);
    const kept = chosen.reduce((sum, e) => sum + scores[e]!, 0);
    for (const e of chosen)
      span.forEach((value, i) => {
        const kind = experts[e]!;
        const feature = features[kind]?.[b * length * width + i] ?? 0;
        const out = kind === 'copy' ? value : kind === 'zero' ? 0 : w * value + (1 - w) * feature;
        y[b * length * width + i]! += (scores[e]! / kept) * out;
      });
  }
  return y;
}

describe('sequence-level experts', () => {
  test.each(['mmu', 't2i'] as const)('%s group agrees with the definition written out', (task) => {
    const config = SequenceMoeConfig.parse({});
    const scope = new ParamScope();
    const names = ['clip', 'face', 'noise'] as const;
    const features = Object.fromEntries(names.map((name) => [name, input(name, shape)]));
    const { y_BND, scores_BE } = sequenceMoe(scope, config, config[task], input('x', shape), features);
    const feeds: Record<string, number[]> = { x: values(1), clip: values(2), face: values(3), noise: values(4) };
    const gate = values(5, 4 * width).map((v) => 3 * v);
    feeds['gate.weight'] = gate;
    // w = softmax([0.4, −0.3])
    const w = 1 / (1 + Math.exp(-0.7));
    for (const { name } of scope.specs()) if (name.endsWith('.w')) feeds[name] = [0.4, -0.3];
    const [y, scores] = evaluate([y_BND, scores_BE], feeds);
    expect(scores!.shape).toEqual([batch, 4]);
    const want = reference(
      feeds.x!,
      { clip: feeds.clip!, face: feeds.face!, noise: feeds.noise! },
      config[task],
      gate,
      2,
      w,
    );
    want.forEach((value, i) => {
      expect(y!.data[i]).toBeCloseTo(value, 9);
    });
  });

  test('two copy experts make the layer an identity; a lone zero expert gives zeros', () => {
    const config = SequenceMoeConfig.parse({ topK: 2 });
    const feeds = { x: values(1), 'gate.weight': values(5, 2 * width) };
    const same = sequenceMoe(new ParamScope(), config, ['copy', 'copy'], input('x', shape), {});
    evaluate([same.y_BND], feeds)[0]!.data.forEach((value, i) => {
      expect(value).toBeCloseTo(feeds.x[i]!, 12);
    });
    const none = sequenceMoe(new ParamScope(), config, ['zero'], input('x', shape), {});
    expect(evaluate([none.y_BND], { ...feeds, 'gate.weight': values(5, width) })[0]!.data.every((v) => v === 0)).toBe(
      true,
    );
  });

  test('a dropped zero expert is not made up for: its share is lost', () => {
    const config = SequenceMoeConfig.parse({ topK: 2 });
    const scope = new ParamScope();
    const { y_BND } = sequenceMoe(scope, config, ['copy', 'zero'], input('x', shape), {});
    const x = values(1);
    const y = evaluate([y_BND], { x, 'gate.weight': new Array<number>(2 * width).fill(0) })[0]!;
    x.forEach((value, i) => {
      expect(y.data[i]).toBeCloseTo(value / 2, 12);
    });
  });

  test('gradients reach features and mixing weights', () => {
    const scope = new ParamScope();
    const face = input('face', shape);
    const { y_BND } = sequenceMoe(scope, SequenceMoeConfig.parse({ topK: 1 }), ['face'], input('x', shape), { face });
    const [dFace, ...dParameters] = gradients(reduceSum(y_BND), [face, ...scope.tensors()]);
    const feeds = { x: values(1), face: values(3), 'gate.weight': values(5, width), 'experts.0.w': [0, 0] };
    expect(evaluate([dFace!], feeds)[0]!.data.every((d) => Math.abs(d - 0.5) < 1e-12)).toBe(true);
    const names = scope.specs().map(({ name }) => name);
    const mixing = dParameters[names.indexOf('experts.0.w')]!;
    const difference = feeds.x.reduce((sum, value, i) => sum + value - feeds.face[i]!, 0);
    expect(evaluate([mixing], feeds)[0]!.data[0]).toBeCloseTo(difference / 4, 9);
  });

  test('a missing feature is named', () => {
    expect(() => sequenceMoe(new ParamScope(), SequenceMoeConfig.parse({}), ['clip'], input('x', shape), {})).toThrow(
      'expert clip needs its feature',
    );
  });
});
