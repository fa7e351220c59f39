import {
  buildModel,
  concat,
  conv2d,
  input,
  maximum,
  neg,
  type OnnxModel,
  parameter,
  reshape,
  type Tensor,
  transpose,
} from '@unif2ace/graph';
import { type BoxNetwork, type BoxOptions, normalized, type ScoredBox, sigmoid } from './boxes.ts';
import { FaceError } from './detector.ts';
import { samePadding } from './separable.ts';
import type { Weight } from './tfjs-weights.ts';

// C channels, H height, W width, A anchor boxes over all levels (5118)

const side = 512;
const batchNormEpsilon = 0.0010000000474974513;
/** Layers of MobileNet v1 whose depthwise convolution halves the sides. */
const halving = new Set([2, 4, 6, 12]);
const lastLayer = 13;
/** Background, face, and one that was never used. */
const classes = 3;
/** TensorFlow's box coder divides centres by 10 and log sizes by 5. */
const [centreScale, sizeScale] = [10, 5];

/**
 * The SSD face detector of face-api.js (MobileNet v1 at 512×512, six levels of boxes; trained on WIDER FACE; 5.6 MB, weights
 * MIT). Every view is 512×512 pixels.
 * @throws FaceError when a tensor is missing.
 */
export function ssdMobilenet(weights: ReadonlyMap<string, Weight>, options: Partial<BoxOptions> = {}): BoxNetwork {
  const anchors = valuesOf(weights, 'Output/extra_dim').data;
  return {
    options: {
      // the second view is for faces that fill the photo
      views: [
        { side, fill: 1 },
        { side, fill: 0.4 },
      ],
      minScore: 0.5,
      maxOverlap: 0.4,
      ...options,
    },
    model: () => ssdModel(weights),
    normalize: (image) => normalized(image, [127.5, 127.5, 127.5], 127.5),
    decode: ({ boxes, logits }, _side, minScore) =>
      decodeBoxes(boxes!.data as Float32Array, logits!.data as Float32Array, anchors, minScore),
  };
}

function valuesOf(weights: ReadonlyMap<string, Weight>, name: string): Weight {
  const weight = weights.get(name);
  if (!weight) throw new FaceError('weights', `a tensor ${name}`, 'none', 'the files of one model');
  return weight;
}

/** pixels [1, 3, 512, 512] → boxes [1, A, 4] (y, x, log height, log width) and logits [1, A, 3]. */
function ssdModel(weights: ReadonlyMap<string, Weight>): OnnxModel {
  const values = new Map<string, Float32Array>();
  const param = (name: string, weight = valuesOf(weights, name)): Tensor => {
    values.set(name, weight.data);
    return parameter(name, weight.shape);
  };
  const relu6 = (x: Tensor) => neg(maximum(neg(maximum(x, 0)), -6));
  const pointwise = (name: string, x_BCHW: Tensor, stride: 1 | 2) => {
    const weight = param(`${name}/weights`);
    const padding = weight.dim(2) === 1 ? 0 : samePadding(stride);
    return relu6(conv2d(x_BCHW, weight, param(`${name}/convolution_bn_offset`), { stride, padding }));
  };
  const depthwise = (name: string, x_BCHW: Tensor, stride: 1 | 2) => {
    const { weight, bias } = foldBatchNorm(weights, name);
    const options = { stride, padding: samePadding(stride), groups: x_BCHW.dim(1) };
    return relu6(conv2d(x_BCHW, param(`${name}/folded`, weight), param(`${name}/folded_bias`, bias), options));
  };
  const levels: Tensor[] = [];
  let x = pointwise('MobilenetV1/Conv2d_0_pointwise', input('pixels', [1, 3, side, side]), 2);
  for (let layer = 1; layer <= lastLayer; layer++) {
    x = depthwise(`MobilenetV1/Conv2d_${layer}_depthwise`, x, halving.has(layer) ? 2 : 1);
    x = pointwise(`MobilenetV1/Conv2d_${layer}_pointwise`, x, 1);
    if (layer === 11 || layer === lastLayer) levels.push(x);
  }
  for (let layer = 0; layer < 8; layer++) {
    const halves = layer % 2 === 1;
    x = pointwise(`Prediction/Conv2d_${layer}_pointwise`, x, halves ? 2 : 1);
    if (halves) levels.push(x);
  }
  const predict = (kind: string, width: number) => {
    const perLevel = levels.map((level, i) => {
      const name = `Prediction/BoxPredictor_${i}/${kind}`;
      const y = conv2d(level, param(`${name}/weights`), param(`${name}/biases`));
      return reshape(transpose(y, [0, 2, 3, 1]), [1, (y.dim(1) / width) * y.dim(2) * y.dim(3), width]);
    });
    return concat(perLevel, 1);
  };
  const outputs = { boxes: predict('BoxEncodingPredictor', 4), logits: predict('ClassPredictor', classes) };
  return buildModel(outputs, { name: 'ssd-mobilenet', parameters: values });
}

/** Batch normalisation after a depthwise convolution as a scale of its weights and a bias. */
function foldBatchNorm(weights: ReadonlyMap<string, Weight>, name: string): { weight: Weight; bias: Weight } {
  const of = (part: string) => valuesOf(weights, `${name}/BatchNorm/${part}`).data;
  const [gamma, beta, mean, variance] = [of('gamma'), of('beta'), of('moving_mean'), of('moving_variance')];
  const { shape, data } = valuesOf(weights, `${name}/depthwise_weights`);
  const scale = gamma.map((value, c) => value / Math.sqrt(variance[c]! + batchNormEpsilon));
  const taps = data.length / scale.length;
  return {
    weight: { shape, data: data.map((value, i) => value * scale[Math.floor(i / taps)]!) },
    bias: { shape: [scale.length], data: beta.map((value, c) => value - mean[c]! * scale[c]!) },
  };
}

/** Anchors are top, left, bottom, right as fractions of the side. */
function decodeBoxes(boxes: Float32Array, logits: Float32Array, anchors: Float32Array, minScore: number): ScoredBox[] {
  const found: ScoredBox[] = [];
  for (let i = 0; i < anchors.length / 4; i++) {
    const score = sigmoid(logits[classes * i + 1]!);
    if (!(score >= minScore)) continue;
    const [top, left, bottom, right] = anchors.subarray(4 * i, 4 * i + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    const [dy, dx, logHeight, logWidth] = boxes.subarray(4 * i, 4 * i + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    const [anchorHeight, anchorWidth] = [bottom - top, right - left];
    const height = Math.exp(logHeight / sizeScale) * anchorHeight * side;
    const width = Math.exp(logWidth / sizeScale) * anchorWidth * side;
    const y = ((dy / centreScale) * anchorHeight + (top + bottom) / 2) * side;
    const x = ((dx / centreScale) * anchorWidth + (left + right) / 2) * side;
    found.push({ box: { x: x - width / 2, y: y - height / 2, width, height }, score });
  }
  return found;
}
