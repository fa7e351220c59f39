import { float32, type Runtime, type Session, type TensorValue } from '@unif2ace/graph';
import { z } from 'zod';
import { type FaceInPhoto, faceView } from '../detection/align.ts';
import type { PixelImage } from '../image/pixels.ts';

// B faces, S edge in pixels, M feature tokens of a face, F their width

/**
 * A frozen image encoder as an ONNX file with this description beside it: our own small ones, or AntelopeV2's glintr100 and
 * CLIP ViT-L/14-336 where the user brings them. One interface for what the Face and the CLIP expert read (paper §2.3).
 */
export const FrozenEncoderConfig = z.strictObject({
  format: z.literal('unif2ace-encoder-1'),
  name: z.string().min(1),
  /** The expert that reads it. */
  purpose: z.enum(['face', 'clip']),
  /** Input of the network, [B, 3, size, size]: (pixel − mean) / deviation of 8-bit values. */
  input: z.strictObject({
    name: z.string().min(1),
    size: z.int().positive(),
    channels: z.enum(['rgb', 'bgr']).default('rgb'),
    mean: z.number(),
    deviation: z.number().positive(),
    /** Part of the aligned square that is shown to it: left, top and side as shares of the square's side. */
    crop: z.tuple([z.number(), z.number(), z.number().positive()]).default([0, 0, 1]),
  }),
  /** Output [B, tokens, width], or [B, width] where there is one token. */
  output: z.strictObject({ name: z.string().min(1), tokens: z.int().positive(), width: z.int().positive() }),
  /** Whether each token is divided by its length. */
  unitLength: z.boolean().default(false),
  /** Origin and terms of the weights. */
  terms: z.string().min(1),
});
export type FrozenEncoderConfig = z.infer<typeof FrozenEncoderConfig>;

/** Runs a frozen encoder over faces. Nothing of what it says is kept. */
export class FrozenEncoder {
  readonly config: FrozenEncoderConfig;
  readonly #session: Session;

  private constructor(config: FrozenEncoderConfig, session: Session) {
    this.config = config;
    this.#session = session;
  }

  /** @throws Error when the network has no input or output of the names described. SessionError for a broken file. */
  static async load(config: FrozenEncoderConfig, onnx: Uint8Array | string, runtime: Runtime): Promise<FrozenEncoder> {
    const session = await runtime.loadSession(onnx);
    for (const [what, name, known] of [
      ['input', config.input.name, session.inputNames],
      ['output', config.output.name, session.outputNames],
    ] as const)
      if (!known.includes(name))
        throw new Error(
          `encoder ${config.name}: expected an ${what} ${name}, got ${known.join(', ')}; try another file`,
        );
    return new FrozenEncoder(config, session);
  }

  /** Features [B, M, F] of aligned faces, or of faces with landmarks. One face a run: many files take no other batch. */
  async encode(faces: readonly (PixelImage | FaceInPhoto)[]): Promise<TensorValue> {
    const { input, output, unitLength } = this.config;
    const count = output.tokens * output.width;
    const data = new Float32Array(faces.length * count);
    for (const [b, face] of faces.entries()) {
      const result = await this.#session.run({ [input.name]: this.#pixels(face) });
      const values = result[output.name]!.data as Float32Array;
      if (values.length !== count)
        throw new Error(
          `encoder ${this.config.name}: expected ${output.tokens} tokens of width ${output.width}, got ${values.length} numbers; try its description`,
        );
      data.set(values, b * count);
    }
    if (unitLength)
      for (let at = 0; at < data.length; at += output.width) {
        const token = data.subarray(at, at + output.width);
        const length = Math.max(1e-12, Math.hypot(...token));
        token.forEach((value, i) => {
          token[i] = value / length;
        });
      }
    return float32(data, [faces.length, output.tokens, output.width]);
  }

  #pixels(face: PixelImage | FaceInPhoto): TensorValue {
    const { size, channels, mean, deviation, crop } = this.config.input;
    const [left, top, side] = crop;
    // the crop at the size wanted: a view of the whole square, large enough
    const whole = Math.round(size / side);
    const [x0, y0] = [Math.round(left * whole), Math.round(top * whole)];
    const data = new Float32Array(3 * size * size);
    const view = faceView(face, whole);
    for (let c = 0; c < 3; c++) {
      const from = channels === 'rgb' ? c : 2 - c;
      for (let y = 0; y < size; y++)
        for (let x = 0; x < size; x++) {
          const pixel = view.data[3 * (Math.min(y0 + y, whole - 1) * whole + Math.min(x0 + x, whole - 1)) + from]!;
          data[(c * size + y) * size + x] = (pixel - mean) / deviation;
        }
    }
    return float32(data, [1, 3, size, size]);
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
