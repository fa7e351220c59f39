import { formatShape, ShapeError, sameShape, sizeOf } from '../shape.ts';
import { apply, constant, type Tensor, withGradient } from '../tensor.ts';
import { add, mul, sub } from './elementwise.ts';
import { reshape } from './layout.ts';
import { reduceMean, reduceTo } from './reduce.ts';

/** LayerNormalization over the last axis, with the mean and 1/σ that its gradient needs (both [..., 1]). */
function normalizeRows(x: Tensor, scale: Tensor, bias: Tensor | null, epsilon: number): [Tensor, Tensor, Tensor] {
  const statistics = [...x.shape.slice(0, -1), 1];
  const [y, mean, inverseStd] = apply({
    op: 'LayerNormalization',
    inputs: bias ? [x, scale, bias] : [x, scale],
    outputs: [
      { shape: x.shape, dtype: 'float32' },
      { shape: statistics, dtype: 'float32' },
      { shape: statistics, dtype: 'float32' },
    ],
    attributes: { axis: { kind: 'int', value: -1 }, epsilon: { kind: 'float', value: epsilon } },
  });
  return [y!, mean!, inverseStd!];
}

/** dx of x̂ = (x − mean)/σ over the last axis, from the gradient of x̂. */
function normalizationGradient(dNormal: Tensor, normal: Tensor, inverseStd: Tensor): Tensor {
  const shared = reduceMean(dNormal, -1, true);
  const along = reduceMean(mul(dNormal, normal), -1, true);
  return mul(sub(sub(dNormal, shared), mul(normal, along)), inverseStd);
}

/** Layer normalisation over the last axis, affine (Ba et al. 2016). `scale` and `bias` are [D]. */
export function layerNorm(x: Tensor, scale_D: Tensor, bias_D: Tensor, epsilon = 1e-5): Tensor {
  if (scale_D.rank !== 1 || scale_D.shape[0] !== x.shape[x.rank - 1] || !sameShape(scale_D.shape, bias_D.shape))
    throw new ShapeError(
      `layerNorm: expected scale and bias [${x.shape[x.rank - 1]}], got ${formatShape(scale_D.shape)} and ${formatShape(bias_D.shape)}`,
    );
  const [y, mean, inverseStd] = normalizeRows(x, scale_D, bias_D, epsilon);
  return withGradient(y, [x, scale_D, bias_D], (dy) => {
    const normal = mul(sub(x, mean), inverseStd);
    return [
      normalizationGradient(mul(dy, scale_D), normal, inverseStd),
      reduceTo(mul(dy, normal), scale_D.shape),
      reduceTo(dy, bias_D.shape),
    ];
  });
}

/** Group normalisation of x_BCHW over groups of consecutive channels, affine per channel (Wu & He 2018). */
export function groupNorm(x_BCHW: Tensor, groups: number, scale_C: Tensor, bias_C: Tensor, epsilon = 1e-6): Tensor {
  const [batch, channels, height, width] = [0, 1, 2, 3].map((axis) => x_BCHW.dim(axis)) as [
    number,
    number,
    number,
    number,
  ];
  if (channels % groups !== 0)
    throw new ShapeError(`groupNorm: ${channels} channels do not divide into ${groups} groups`);
  const rows = [batch * groups, (channels / groups) * height * width];
  const x_RM = reshape(x_BCHW, rows);
  const ones = constant(new Float32Array(sizeOf([rows[1]!])).fill(1), [rows[1]!]);
  const [plain_RM, , inverseStd_R1] = normalizeRows(x_RM, ones, null, epsilon);
  const normal_RM = withGradient(plain_RM, [x_RM], (dNormal) => [
    normalizationGradient(dNormal, plain_RM, inverseStd_R1),
  ]);
  const perChannel = (parameter: Tensor) => reshape(parameter, [1, channels, 1, 1]);
  return add(mul(reshape(normal_RM, x_BCHW.shape), perChannel(scale_C)), perChannel(bias_C));
}
