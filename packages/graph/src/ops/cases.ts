import type { Tensor } from '../tensor.ts';
import { constant, straightThrough } from '../tensor.ts';
import { geluErf, geluTanh, logSoftmax, quickGelu, softmax, softplus, swish } from './activation.ts';
import { attention, rotary, rotaryAt, rotaryTables } from './attention.ts';
import { averagePool, conv2d, maxPool, upsampleNearest } from './conv.ts';
import * as el from './elementwise.ts';
import { balanceLoss, denseExperts, routeArgMax, routeTopK, sparseExperts } from './experts.ts';
import { gather, gatherElements, scatterAddRows, scatterElements, topK } from './indexing.ts';
import { broadcastTo, concat, pad, reshape, reverse, slice, split, transpose } from './layout.ts';
import { gemm, linear, matmul } from './linalg.ts';
import { crossEntropy, linearCrossEntropy } from './loss.ts';
import { groupNorm, layerNorm } from './norm.ts';
import { reduceMax, reduceMean, reduceSum } from './reduce.ts';

/** One operator under test. Shapes come in a small size (finite differences) and a large one (several threads). */
export interface OperatorCase {
  name: string;
  small: readonly (readonly number[])[];
  large: readonly (readonly number[])[];
  f(...inputs: Tensor[]): Tensor;
  /** Inputs drawn from (0.5, 1.5) instead of (−1.5, 1.5). */
  positive?: boolean;
}

// many repeats of few rows: lost updates show
function repeatedIndices(count: number, below: number): Tensor {
  return constant(
    Int32Array.from({ length: count }, (_, i) => (i * 7 + (i >> 3)) % below),
    [count],
  );
}

function expertFamily(w1_EHD: Tensor, w2_EDH: Tensor) {
  const pick = (w: Tensor, e: number) => reshape(slice(w, 0, e, e + 1), w.shape.slice(1));
  return (rows: Tensor, e: number) => linear(geluTanh(linear(rows, pick(w1_EHD, e))), pick(w2_EDH, e));
}

const wide = [
  [6, 40],
  [300, 257],
] as const;
const unaryCases: OperatorCase[] = (
  [
    ['exp', el.exp],
    ['neg', el.neg],
    ['sin', el.sin],
    ['cos', el.cos],
    ['tanh', el.tanh],
    ['sigmoid', el.sigmoid],
    ['erf', el.erf],
    ['abs', el.abs],
    ['square', el.square],
    ['swish', swish],
    ['quickGelu', quickGelu],
    ['geluErf', geluErf],
    ['geluTanh', geluTanh],
    ['softplus', softplus],
    ['softmax', softmax],
    ['softmax axis 0', (x: Tensor) => softmax(x, 0)],
    ['logSoftmax', logSoftmax],
    ['reduceSum axis 0', (x: Tensor) => reduceSum(x, 0)],
    ['reduceMean axis 1 kept', (x: Tensor) => reduceMean(x, 1, true)],
    ['reduceMax', (x: Tensor) => reduceMax(x, 1)],
    ['slice', (x: Tensor) => slice(x, 1, 3, 29)],
    ['reverse', (x: Tensor) => reverse(x, 1)],
    ['pad', (x: Tensor) => pad(x, [1, 0], [0, 2])],
    ['transpose', (x: Tensor) => transpose(x, [1, 0])],
    ['topK values', (x: Tensor) => topK(x, 5).values],
    ['straightThrough', (x: Tensor) => straightThrough(el.mul(x, 1), x)],
    ['where', (x: Tensor) => el.where(el.greater(x, 0.1), el.mul(x, 3), el.neg(x))],
    ['addN', (x: Tensor) => el.addN([x, el.mul(x, 2), el.exp(x)])],
  ] as [string, (x: Tensor) => Tensor][]
).map(([name, f]) => ({ name, small: [wide[0]], large: [wide[1]], f }));

export const operatorCases: OperatorCase[] = [
  ...unaryCases,
  { name: 'log', small: [wide[0]], large: [wide[1]], f: el.log, positive: true },
  { name: 'sqrt', small: [wide[0]], large: [wide[1]], f: el.sqrt, positive: true },
  { name: 'reciprocal', small: [wide[0]], large: [wide[1]], f: el.reciprocal, positive: true },
  {
    name: 'add broadcast',
    small: [
      [4, 1, 5],
      [3, 1],
    ],
    large: [
      [40, 1, 130],
      [30, 1],
    ],
    f: el.add,
  },
  { name: 'sub scalar', small: [[4, 5]], large: [[200, 129]], f: (x) => el.sub(1, x) },
  { name: 'mul broadcast', small: [[4, 5], [5]], large: [[300, 129], [129]], f: el.mul },
  {
    name: 'div broadcast',
    small: [
      [4, 5],
      [4, 1],
    ],
    large: [
      [300, 129],
      [300, 1],
    ],
    f: el.div,
    positive: true,
  },
  { name: 'maximum', small: [[4, 5], [5]], large: [[300, 129], [129]], f: el.maximum },
  { name: 'broadcastTo', small: [[3, 1, 4]], large: [[30, 1, 64]], f: (x) => broadcastTo(x, [x.dim(0), 5, x.dim(2)]) },
  {
    name: 'concat',
    small: [
      [3, 2],
      [3, 4],
    ],
    large: [
      [300, 40],
      [300, 88],
    ],
    f: (a, b) => concat([a, b], 1),
  },
  {
    name: 'split, one piece unused',
    small: [[3, 9]],
    large: [[300, 90]],
    f: (x) => el.mul(split(x, [x.dim(1) / 3, x.dim(1) / 3, x.dim(1) / 3], 1)[2]!, 2),
  },
  {
    name: 'matmul batched',
    small: [
      [2, 3, 4],
      [2, 4, 5],
    ],
    large: [
      [4, 96, 70],
      [4, 70, 65],
    ],
    f: matmul,
  },
  {
    name: 'matmul broadcast',
    small: [
      [2, 3, 4],
      [4, 5],
    ],
    large: [
      [4, 96, 70],
      [70, 65],
    ],
    f: matmul,
  },
  {
    name: 'gemm Aᵀ·B + c',
    small: [[4, 3], [4, 5], [5]],
    large: [[70, 160], [70, 130], [130]],
    f: (a, b, c) => gemm(a, b, c, { transA: true }),
  },
  {
    name: 'gemm Aᵀ·Bᵀ',
    small: [
      [4, 3],
      [5, 4],
    ],
    large: [
      [70, 160],
      [130, 70],
    ],
    f: (a, b) => gemm(a, b, null, { transA: true, transB: true }),
  },
  { name: 'linear', small: [[2, 3, 4], [5, 4], [5]], large: [[4, 64, 96], [128, 96], [128]], f: linear },
  {
    name: 'layerNorm',
    small: [[2, 3, 8], [8], [8]],
    large: [[8, 64, 96], [96], [96]],
    f: (x, g, b) => layerNorm(x, g, b),
  },
  {
    name: 'groupNorm',
    small: [[2, 6, 3, 2], [6], [6]],
    large: [[2, 64, 12, 10], [64], [64]],
    f: (x, g, b) => groupNorm(x, x.dim(1) / 2, g, b),
  },
  {
    name: 'conv2d 3×3',
    small: [[2, 3, 5, 4], [4, 3, 3, 3], [4]],
    large: [[2, 24, 20, 18], [20, 24, 3, 3], [20]],
    f: (x, w, b) => conv2d(x, w, b, { padding: 1 }),
  },
  {
    name: 'conv2d 3×3, uneven padding',
    small: [
      [2, 2, 4, 5],
      [3, 2, 3, 3],
    ],
    large: [
      [2, 16, 20, 18],
      [20, 16, 3, 3],
    ],
    f: (x, w) => conv2d(x, w, null, { padding: [0, 1, 2, 1] }),
  },
  {
    name: 'conv2d 2×3, no padding',
    small: [
      [2, 2, 4, 5],
      [3, 2, 2, 3],
    ],
    large: [
      [2, 16, 20, 18],
      [20, 16, 2, 3],
    ],
    f: (x, w) => conv2d(x, w, null),
  },
  {
    name: 'conv2d 1×1',
    small: [
      [2, 3, 4, 4],
      [5, 3, 1, 1],
    ],
    large: [
      [2, 40, 20, 20],
      [50, 40, 1, 1],
    ],
    f: (x, w) => conv2d(x, w, null),
  },
  {
    name: 'conv2d stride 2, odd sides, padding right and bottom',
    small: [[1, 2, 7, 6], [3, 2, 3, 3], [3]],
    large: [[2, 16, 31, 30], [24, 16, 3, 3], [24]],
    f: (x, w, b) => conv2d(x, w, b, { stride: 2, padding: [0, 0, 1, 1] }),
  },
  {
    name: 'conv2d stride 2 with rows never reached',
    small: [
      [1, 2, 6, 8],
      [3, 2, 3, 3],
    ],
    large: [
      [2, 16, 30, 30],
      [24, 16, 3, 3],
    ],
    f: (x, w) => conv2d(x, w, null, { stride: 2 }),
  },
  {
    name: 'conv2d patches',
    small: [
      [1, 3, 6, 6],
      [4, 3, 3, 3],
    ],
    large: [
      [2, 3, 48, 48],
      [32, 3, 8, 8],
    ],
    f: (x, w) => conv2d(x, w, null, { stride: w.dim(2) }),
  },
  {
    name: 'conv2d depthwise',
    small: [[2, 3, 5, 4], [3, 1, 3, 3], [3]],
    large: [[2, 32, 20, 21], [32, 1, 3, 3], [32]],
    f: (x, w, b) => conv2d(x, w, b, { padding: 1, groups: x.dim(1) }),
  },
  {
    name: 'conv2d in two groups, stride 2',
    small: [
      [2, 4, 6, 6],
      [6, 2, 3, 3],
    ],
    large: [
      [2, 32, 20, 22],
      [24, 16, 3, 3],
    ],
    f: (x, w) => conv2d(x, w, null, { stride: 2, padding: [0, 0, 1, 1], groups: 2 }),
  },
  { name: 'upsampleNearest', small: [[2, 2, 3, 2]], large: [[2, 32, 16, 12]], f: (x) => upsampleNearest(x, 2) },
  { name: 'maxPool', small: [[2, 2, 4, 6]], large: [[2, 32, 16, 12]], f: (x) => maxPool(x, 2) },
  { name: 'averagePool', small: [[2, 2, 4, 6]], large: [[2, 32, 16, 12]], f: (x) => averagePool(x, 2) },
  {
    name: 'gather, repeated',
    small: [[4, 3]],
    large: [[50, 64]],
    f: (x) => gather(x, repeatedIndices(x.dim(0) * 20, x.dim(0))),
  },
  {
    name: 'gatherElements, repeated',
    small: [[4, 3]],
    large: [[50, 640]],
    f: (x) =>
      gatherElements(
        x,
        broadcastTo(reshape(repeatedIndices(x.dim(0) * 3, x.dim(0)), [x.dim(0) * 3, 1]), [x.dim(0) * 3, x.dim(1)]),
        0,
      ),
  },
  {
    name: 'scatterAddRows, repeated',
    small: [[12, 3]],
    large: [[1000, 64]],
    f: (x) => scatterAddRows(x, repeatedIndices(x.dim(0), 7), 7),
  },
  {
    name: 'scatterElements add',
    small: [
      [5, 4],
      [5, 2],
    ],
    large: [
      [300, 40],
      [300, 2],
    ],
    f: (x, u) => scatterElements(x, broadcastTo(constant(Int32Array.of(1, 1), [1, 2]), [x.dim(0), 2]), u, 1, 'add'),
  },
  {
    name: 'attention with mask',
    small: [
      [2, 2, 3, 4],
      [2, 2, 5, 4],
      [2, 2, 5, 4],
      [1, 1, 3, 5],
    ],
    large: [
      [2, 4, 48, 32],
      [2, 4, 64, 32],
      [2, 4, 64, 32],
      [1, 1, 48, 64],
    ],
    f: (q, k, v, mask) => attention(q, k, v, mask),
  },
  {
    name: 'rotary at given positions',
    small: [[1, 2, 3, 8]],
    large: [[4, 4, 48, 64]],
    f: (x) =>
      rotary(
        x,
        rotaryAt(
          rotaryTables(64, x.dim(3), x.dim(3) / 2, 10000),
          constant(
            Int32Array.from({ length: x.dim(2) }, (_, i) => (i * 5) % 64),
            [x.dim(2)],
          ),
        ),
      ),
  },
  {
    name: 'crossEntropy',
    small: [[5, 7]],
    large: [[400, 130]],
    f: (x) => crossEntropy(x, repeatedIndices(x.dim(0), x.dim(1))),
  },
  {
    name: 'linearCrossEntropy',
    small: [[5, 3], [7, 3], [7]],
    large: [[400, 48], [130, 48], [130]],
    f: (x, w, b) => linearCrossEntropy(x, w, b, repeatedIndices(x.dim(0), w.dim(0))),
  },
  {
    name: 'linearCrossEntropy without bias',
    small: [
      [5, 3],
      [7, 3],
    ],
    large: [
      [400, 48],
      [130, 48],
    ],
    f: (x, w) => linearCrossEntropy(x, w, null, repeatedIndices(x.dim(0), w.dim(0))),
  },
  ...(['sparse', 'dense', 'dense by ArgMax'] as const).map(
    (way): OperatorCase => ({
      name: `top-2 experts, ${way}`,
      small: [
        [7, 3],
        [7, 4],
        [4, 5, 3],
        [4, 3, 5],
      ],
      large: [
        [600, 24],
        [600, 8],
        [8, 40, 24],
        [8, 24, 40],
      ],
      f: (x, logits, w1, w2) => {
        const scores = softmax(logits);
        const routing = way === 'dense by ArgMax' ? routeArgMax(scores, 2) : routeTopK(scores, 2);
        return (way === 'sparse' ? sparseExperts : denseExperts)(x, routing, logits.dim(1), expertFamily(w1, w2));
      },
    }),
  ),
  {
    name: 'balanceLoss',
    small: [[7, 4]],
    large: [[600, 8]],
    f: (x) => balanceLoss(softmax(x), routeTopK(softmax(x), 2)),
  },
  {
    name: 'balanceLoss per sequence, weighted rows',
    small: [[8, 4]],
    large: [[600, 8]],
    f: (x) =>
      balanceLoss(softmax(x), routeTopK(softmax(x), 2), {
        sequences: 2,
        weights_T: constant(
          Float32Array.from({ length: x.dim(0) }, (_, i) => (i % 3 ? 1 : 0)),
          [x.dim(0)],
        ),
      }),
  },
];
