import { z } from 'zod';
import { FaceError } from './detector.ts';

const Manifest = z.array(
  z.object({
    weights: z.array(
      z.object({
        name: z.string(),
        shape: z.array(z.int().positive()),
        // a few scalars of the original graph are int32; as 8-bit values they read the same
        dtype: z.enum(['float32', 'int32']),
        quantization: z.object({ dtype: z.literal('uint8'), scale: z.number(), min: z.number() }).optional(),
      }),
    ),
  }),
);

/** Values in the layout of ONNX. */
export interface Weight {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * Weights as TensorFlow.js stores them: a manifest (JSON) and one file of values, float32 or 8-bit with value = min +
 * scale·q. Convolutions come as height, width, in, out (depthwise: height, width, channels, 1) and leave as out, in,
 * height, width (channels, 1, height, width).
 * @throws FaceError when manifest and values do not fit.
 */
export function readTfjsWeights(name: string, manifest: unknown, bytes: Uint8Array): Map<string, Weight> {
  const fail = (expected: string, got: string) => new FaceError(name, expected, got, 'to install the package again');
  const parsed = Manifest.safeParse(manifest);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw fail('a TensorFlow.js weight manifest', `${path.join('.') || 'document'}: ${message}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const weights = new Map<string, Weight>();
  let at = 0;
  for (const { name: key, shape, quantization } of parsed.data.flatMap((group) => group.weights)) {
    const count = shape.reduce((a, b) => a * b, 1);
    const end = at + count * (quantization ? 1 : 4);
    if (end > bytes.length) throw fail(`${end} bytes or more`, `${bytes.length}`);
    const start = at;
    // float32 arithmetic, as TensorFlow.js has it
    const data = Float32Array.from({ length: count }, (_, i) =>
      quantization
        ? Math.fround(bytes[start + i]! * quantization.scale) + quantization.min
        : view.getFloat32(start + 4 * i, true),
    );
    at = end;
    weights.set(key, shape.length === 4 ? toOnnxLayout(key, shape, data) : { shape, data });
  }
  if (at !== bytes.length) throw fail(`${at} bytes`, `${bytes.length}`);
  return weights;
}

function toOnnxLayout(name: string, shape: readonly number[], data: Float32Array): Weight {
  const [height, width, inputs, outputs] = shape as [number, number, number, number];
  const out = new Float32Array(data.length);
  const depthwise = /depthwise_(filter|weights)$/.test(name);
  for (let k = 0; k < height * width; k++)
    for (let i = 0; i < inputs; i++)
      for (let o = 0; o < outputs; o++) {
        const channel = depthwise ? i * outputs + o : o * inputs + i;
        out[channel * height * width + k] = data[(k * inputs + i) * outputs + o]!;
      }
  return { shape: depthwise ? [inputs * outputs, 1, height, width] : [outputs, inputs, height, width], data: out };
}
