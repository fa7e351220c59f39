import { describe, expect, it } from 'vitest';
import { FaceError } from './detector.ts';
import { readTfjsWeights } from './tfjs-weights.ts';

const entry = (name: string, shape: number[], quantized = true) => ({
  name,
  shape,
  dtype: 'float32',
  ...(quantized && { quantization: { dtype: 'uint8', scale: 0.5, min: -1 } }),
});

describe('readTfjsWeights', () => {
  it('reads 8-bit and float32 values one after the other', () => {
    const bytes = new Uint8Array(3 + 4);
    bytes.set([0, 2, 255]);
    new DataView(bytes.buffer).setFloat32(3, 0.25, true);
    const weights = readTfjsWeights('net', [{ weights: [entry('a', [3]), entry('b', [1], false)] }], bytes);
    expect(weights.get('a')).toEqual({ shape: [3], data: Float32Array.of(-1, 0, 126.5) });
    expect(weights.get('b')).toEqual({ shape: [1], data: Float32Array.of(0.25) });
  });

  it('moves convolutions from height, width, in, out to out, in, height, width', () => {
    const bytes = Uint8Array.from({ length: 1 * 2 * 3 * 2 }, (_, i) => i);
    const read = (name: string, shape: number[]) =>
      readTfjsWeights('net', [{ weights: [entry(name, shape)] }], bytes).get(name)!;
    const conv = read('conv/filters', [1, 2, 3, 2]);
    expect(conv.shape).toEqual([2, 3, 1, 2]);
    // out 1, in 2, column 1 was at ((0·2 + 1)·3 + 2)·2 + 1
    expect(conv.data[(1 * 3 + 2) * 2 + 1]).toBe(11 * 0.5 - 1);
    // out 1, in 0, column 0 was at 1
    expect(conv.data[(1 * 3 + 0) * 2]).toBe(1 * 0.5 - 1);
    const depthwise = read('conv/depthwise_filter', [3, 1, 4, 1]);
    expect(depthwise.shape).toEqual([4, 1, 3, 1]);
    expect([...depthwise.data.slice(3, 6)]).toEqual([1, 5, 9].map((q) => q * 0.5 - 1));
  });

  it.each([
    ['no manifest', { weights: [] }, 0, /^net: expected a TensorFlow\.js weight manifest, got/],
    ['another type', [{ weights: [{ ...entry('a', [1]), dtype: 'string' }] }], 1, /0\.weights\.0\.dtype/],
    ['too few values', [{ weights: [entry('a', [3])] }], 2, /expected 3 bytes or more, got 2/],
    ['too many values', [{ weights: [entry('a', [3])] }], 4, /expected 3 bytes, got 4/],
  ])('refuses %s', (_name, manifest, count, message) => {
    const read = () => readTfjsWeights('net', manifest, new Uint8Array(count));
    expect(read).toThrow(FaceError);
    expect(read).toThrow(message);
  });
});
