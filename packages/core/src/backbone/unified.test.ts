import {
  checkGradients,
  evaluate,
  gradients,
  input,
  ParamScope,
  Philox,
  reduceSum,
  square,
  type Tensor,
} from '@unif2ace/graph';
import { describe, expect, test } from 'vitest';
import { BackboneConfig, type Task } from './config.ts';
import { unifiedBackbone } from './unified.ts';

const [batch, length, width, span] = [2, 6, 8, 3];

const base = {
  phi: { vocabSize: 10, hiddenSize: width, intermediateSize: 12, layers: 2, heads: 2, maxPositions: 16 },
  tokenMoe: { router: { experts: 4, topK: 2 }, routedHidden: 4, sharedHidden: 4 },
  sequenceMoe: {},
  resampler: { sizes: { width: 6, depth: 1, heads: 2, headWidth: 3, feedForwardFactor: 2 }, shared: true },
  features: { face: { width: 5, tokens: 1 }, clip: { width: 4, tokens: 2 }, noise: { width: 6 } },
};

function build(config: BackboneConfig, task: Task, mode: 'sparse' | 'dense' = 'sparse') {
  const scope = new ParamScope();
  const x = input('x', [batch, length, width]);
  const out = unifiedBackbone(scope, config, x, {
    task,
    mask: null,
    span: { start: 2, length: span },
    features: {
      face_BMF: input('face', [batch, 1, 5]),
      clip_BMF: input('clip', [batch, 2, 4]),
      maskRatio_B: input('ratio', [batch]),
    },
    mode,
  });
  return { scope, x, ...out };
}

function feedsOf(scope: ParamScope): Record<string, Float64Array> {
  const random = new Philox(3);
  const draw = (count: number, scale = 1) => Float64Array.from({ length: count }, () => scale * random.normal());
  const feeds: Record<string, Float64Array> = {
    x: draw(batch * length * width),
    face: draw(batch * 5),
    clip: draw(batch * 8),
    ratio: Float64Array.of(0.3, 0.9),
  };
  for (const { name, shape } of scope.specs())
    feeds[name] = draw(
      shape.reduce((a, b) => a * b, 1),
      0.5,
    );
  return feeds;
}

const variants: [string, object][] = [
  ['the paper: both levels', {}],
  ['no experts', { tokenMoe: null, sequenceMoe: null }],
  ['token level only', { sequenceMoe: null }],
  ['sequence level only', { tokenMoe: null }],
  ['Phi kept parallel', { block: 'parallel' }],
  ['without Face and CLIP', { sequenceMoe: { mmu: ['copy', 'copy'] } }],
  ['top-3 sequence experts, weights per position', { sequenceMoe: { topK: 3, mix: 'position' } }],
  ['a resampler per layer', { resampler: { ...base.resampler, shared: false } }],
  [
    'swiglu experts, normalised gates, no shared expert',
    {
      tokenMoe: { router: { experts: 4, topK: 2, normalize: true }, routedHidden: 4, sharedHidden: 0, form: 'swiglu' },
    },
  ],
];

describe('every row of the ablations is a setting', () => {
  test.each(variants)('%s', (_name, change) => {
    const config = BackboneConfig.parse({ ...base, ...change });
    for (const task of ['t2i', 'mmu'] as const) {
      const { scope, hidden_BLD, routings } = build(config, task);
      const levels = Number(config.tokenMoe !== null) + Number(config.sequenceMoe !== null);
      expect(routings).toHaveLength(levels * config.phi.layers);
      const names = scope.specs().map(({ name }) => name);
      // groups are hard-switched: nothing of the other task is touched
      expect(names.some((name) => name.includes(task === 't2i' ? '.mmu.' : '.t2i.'))).toBe(false);
      const loss = reduceSum(square(hidden_BLD));
      const feeds = feedsOf(scope);
      const [y, ...ds] = evaluate([hidden_BLD, ...gradients(loss, scope.tensors())], feeds);
      expect(y!.shape).toEqual([batch, length, width]);
      for (const [i, d] of ds.entries()) expect(d.data.every(Number.isFinite), names[i]).toBe(true);
    }
  });
});

test('sparse and dense routing agree', () => {
  const config = BackboneConfig.parse(base);
  for (const task of ['t2i', 'mmu'] as const) {
    const values = (['sparse', 'dense'] as const).map((mode) => {
      const { scope, hidden_BLD } = build(config, task, mode);
      return evaluate([hidden_BLD], feedsOf(scope))[0]!.data;
    });
    values[0]!.forEach((value, i) => {
      expect(values[1]![i]).toBeCloseTo(value, 10);
    });
  }
});

test('gradient of the whole backbone with respect to its input', () => {
  const config = BackboneConfig.parse(base);
  const { scope } = build(config, 'mmu');
  const feeds = feedsOf(scope);
  const parameters = Object.entries(feeds).filter(([name]) => name !== 'x');
  // parameters and features as constants of the checked function
  const f = ([x]: readonly Tensor[]) => {
    const inner = new ParamScope();
    const { hidden_BLD } = unifiedBackbone(inner, config, x!, {
      task: 'mmu',
      mask: null,
      span: { start: 2, length: span },
      features: { face_BMF: input('face', [batch, 1, 5]), clip_BMF: input('clip', [batch, 2, 4]) },
    });
    return hidden_BLD;
  };
  const check = checkGradients(f, [{ shape: [batch, length, width], data: feeds.x! }], {
    step: 1e-5,
    constants: Object.fromEntries(parameters),
  });
  expect(check.worstRelativeError, check.worst).toBeLessThan(1e-5);
});
