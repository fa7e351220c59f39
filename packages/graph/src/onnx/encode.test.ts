import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { directRuntime } from '../runtime/node-direct.ts';
import { float32 } from '../runtime/session.ts';
import { encodeModel } from './encode.ts';
import type { OnnxAttribute, OnnxDType, OnnxModel, OnnxNode, OnnxTensor } from './model.ts';

// The reader of our files is ONNX Runtime; expected values are written out by hand.

const runtime = directRuntime({ intraOpThreads: 1 });
const folder = await mkdtemp(join(tmpdir(), 'encode-'));
afterAll(() => rm(folder, { recursive: true }));

function node(
  opType: string,
  inputs: string[],
  outputs: string[],
  attributes: Record<string, OnnxAttribute> = {},
): OnnxNode {
  return { opType, name: `${opType}_${outputs[0]}`, inputs, outputs, attributes };
}

function model(parts: Partial<OnnxModel>): OnnxModel {
  return { opset: 20, name: 'test', inputs: [], outputs: [], initializers: [], nodes: [], ...parts };
}

async function outputsOf(bytes: Uint8Array) {
  const session = await runtime.loadSession(bytes);
  const values = await session.run({});
  await session.release();
  return Object.fromEntries(
    Object.entries(values).map(([name, { dtype, shape, data }]) => [name, { dtype, shape, data: [...data] }]),
  );
}

describe('encodeModel', () => {
  test('attributes of every kind', async () => {
    const encoded = encodeModel(
      model({
        outputs: [
          { name: 'ints', dtype: 'float32', shape: [3, 2] },
          { name: 'float', dtype: 'float32', shape: [2, 3] },
          { name: 'int', dtype: 'float32', shape: [2, 3] },
          { name: 'string', dtype: 'float32', shape: [2, 3] },
          { name: 'tensor', dtype: 'int64', shape: [2] },
          { name: 'floats', dtype: 'float32', shape: [3] },
        ],
        initializers: [
          { name: 'x', dtype: 'float32', shape: [2, 3], data: Float32Array.of(1, -2, 3, -4, 5, -6) },
          { name: 'index', dtype: 'int64', shape: [1, 3], data: BigInt64Array.of(1n, 1n, 0n) },
          { name: 'update', dtype: 'float32', shape: [1, 3], data: Float32Array.of(10, 20, 30) },
          { name: 'two', dtype: 'int64', shape: [1], data: BigInt64Array.of(2n) },
          { name: 'last', dtype: 'int64', shape: [], data: BigInt64Array.of(-1n) },
        ],
        nodes: [
          node('Transpose', ['x'], ['ints'], { perm: { kind: 'ints', value: [1, 0] } }),
          node('LeakyRelu', ['x'], ['float'], { alpha: { kind: 'float', value: 0.25 } }),
          node('CumSum', ['x', 'last'], ['int'], { exclusive: { kind: 'int', value: 1 } }),
          node('ScatterElements', ['x', 'index', 'update'], ['string'], {
            axis: { kind: 'int', value: -2 },
            reduction: { kind: 'string', value: 'add' },
          }),
          node('ConstantOfShape', ['two'], ['tensor'], {
            value: {
              kind: 'tensor',
              value: { name: 'fill', dtype: 'int64', shape: [1], data: BigInt64Array.of(-(2n ** 53n) - 1n) },
            },
          }),
          node('Constant', [], ['floats'], { value_floats: { kind: 'floats', value: [0.5, -1.25, 3] } }),
        ],
      }),
    );
    expect(encoded.external).toEqual([]);
    expect(await outputsOf(encoded.bytes)).toEqual({
      ints: { dtype: 'float32', shape: [3, 2], data: [1, -4, -2, 5, 3, -6] },
      float: { dtype: 'float32', shape: [2, 3], data: [1, -0.5, 3, -1, 5, -1.5] },
      int: { dtype: 'float32', shape: [2, 3], data: [0, 1, -1, 0, -4, 1] },
      string: { dtype: 'float32', shape: [2, 3], data: [1, -2, 33, 6, 25, -6] },
      tensor: { dtype: 'int64', shape: [2], data: [-9007199254740993n, -9007199254740993n] },
      floats: { dtype: 'float32', shape: [3], data: [0.5, -1.25, 3] },
    });
  });

  const samples: Record<OnnxDType, { tensor: Omit<OnnxTensor, 'name' | 'dtype'>; asFloat: number[] }> = {
    float32: { tensor: { shape: [3], data: Float32Array.of(0.5, -3, 65536) }, asFloat: [0.5, -3, 65536] },
    float16: { tensor: { shape: [3], data: Uint16Array.of(0x3e00, 0xc000, 0x7bff) }, asFloat: [1.5, -2, 65504] },
    int64: { tensor: { shape: [2], data: BigInt64Array.of(-1n, 2n ** 40n) }, asFloat: [-1, 2 ** 40] },
    int32: { tensor: { shape: [2], data: Int32Array.of(-7, 1 << 20) }, asFloat: [-7, 1 << 20] },
    int8: { tensor: { shape: [3], data: Int8Array.of(-128, 0, 127) }, asFloat: [-128, 0, 127] },
    uint8: { tensor: { shape: [3], data: Uint8Array.of(0, 128, 255) }, asFloat: [0, 128, 255] },
    bool: { tensor: { shape: [3], data: Uint8Array.of(1, 0, 1) }, asFloat: [1, 0, 1] },
  };

  test.each(Object.keys(samples) as OnnxDType[])('%s: stored, read as it is and as float', async (dtype) => {
    const { tensor, asFloat } = samples[dtype];
    const { bytes } = encodeModel(
      model({
        outputs: [
          { name: 'same', dtype, shape: tensor.shape },
          { name: 'float', dtype: 'float32', shape: tensor.shape },
        ],
        initializers: [{ name: 'x', dtype, ...tensor }],
        nodes: [node('Identity', ['x'], ['same']), node('Cast', ['x'], ['float'], { to: { kind: 'int', value: 1 } })],
      }),
    );
    expect(await outputsOf(bytes)).toEqual({
      same: { dtype, shape: tensor.shape, data: [...tensor.data] },
      float: { dtype: 'float32', shape: tensor.shape, data: asFloat },
    });
  });

  test('empty and scalar tensors, names beyond ASCII, metadata, another domain', async () => {
    const { bytes } = encodeModel(
      model({
        name: 'gesicht',
        outputs: [
          { name: 'größe ✓', dtype: 'float32', shape: [] },
          { name: 'none', dtype: 'float32', shape: [0, 4] },
          { name: 'quick', dtype: 'float32', shape: [1] },
        ],
        initializers: [
          { name: 'x', dtype: 'float32', shape: [], data: Float32Array.of(4) },
          { name: 'e', dtype: 'float32', shape: [0, 4], data: new Float32Array(0) },
          { name: 'zero', dtype: 'float32', shape: [1], data: Float32Array.of(0) },
        ],
        nodes: [
          node('Sqrt', ['x'], ['größe ✓']),
          node('Neg', ['e'], ['none']),
          { ...node('QuickGelu', ['zero'], ['quick']), domain: 'com.microsoft' },
        ],
        metadata: { recipe: 'pico' },
      }),
    );
    expect(await outputsOf(bytes)).toEqual({
      'größe ✓': { dtype: 'float32', shape: [], data: [2] },
      none: { dtype: 'float32', shape: [0, 4], data: [] },
      quick: { dtype: 'float32', shape: [1], data: [0] },
    });
    expect(Buffer.from(bytes).includes(Buffer.from('\n\x06recipe\x12\x04pico', 'latin1'))).toBe(true);
  });
});

describe('external weights', () => {
  const ramp = (start: number, count: number) => Float32Array.from({ length: count }, (_, i) => start + i);
  const backing = ramp(0, 5000);
  const weights: OnnxTensor[] = [
    { name: 'w0', dtype: 'float32', shape: [256], data: backing.subarray(1000, 1256) },
    { name: 'small', dtype: 'float32', shape: [255], data: ramp(7, 255) },
    { name: 'w1', dtype: 'float32', shape: [2000], data: backing.subarray(3000, 5000) },
    { name: 'w2', dtype: 'int64', shape: [128], data: new BigInt64Array(128).fill(-5n) },
  ];
  const saved = model({
    inputs: [{ name: 'one', dtype: 'float32', shape: [1] }],
    outputs: [
      { name: 'y0', dtype: 'float32', shape: [256] },
      { name: 'ys', dtype: 'float32', shape: [255] },
      { name: 'y1', dtype: 'float32', shape: [2000] },
      { name: 'y2', dtype: 'int64', shape: [128] },
    ],
    initializers: weights,
    nodes: [
      node('Mul', ['w0', 'one'], ['y0']),
      node('Mul', ['small', 'one'], ['ys']),
      node('Mul', ['w1', 'one'], ['y1']),
      node('Abs', ['w2'], ['y2']),
    ],
  });
  const expected = { y0: ramp(1000, 256), ys: ramp(7, 255), y1: ramp(3000, 2000), y2: new BigInt64Array(128).fill(5n) };

  test('go to one page-aligned file from 1,024 bytes on, and the file loads from its path', async () => {
    const { bytes, external, externalBytes } = encodeModel(saved, { externalFile: 'weights.bin' });
    expect(external.map(({ file, offset, data }) => [file, offset, data.byteLength])).toEqual([
      ['weights.bin', 0, 1024],
      ['weights.bin', 4096, 8000],
      ['weights.bin', 12288, 1024],
    ]);
    expect(externalBytes).toBe(13312);
    expect(external[1]!.data.buffer, 'a view, not a copy').toBe(backing.buffer);
    await writeFile(join(folder, 'model.onnx'), bytes);
    const file = await open(join(folder, 'weights.bin'), 'w');
    for (const { data, offset } of external) await file.write(data, 0, data.byteLength, offset);
    await file.close();
    const session = await runtime.loadSession(join(folder, 'model.onnx'));
    const values = await session.run({ one: float32(Float32Array.of(1), [1]) });
    for (const [name, want] of Object.entries(expected)) expect(values[name]!.data).toEqual(want);
  });

  test('a session from memory has its own copy of the weights', async () => {
    const data = ramp(0, 4096);
    const session = await runtime.createSession(
      model({
        inputs: [{ name: 'one', dtype: 'float32', shape: [1] }],
        outputs: [{ name: 'y', dtype: 'float32', shape: [4096] }],
        initializers: [{ name: 'w', dtype: 'float32', shape: [4096], data }],
        nodes: [node('Mul', ['w', 'one'], ['y'])],
      }),
      { prepack: false },
    );
    data.fill(-1);
    expect((await session.run({ one: float32(Float32Array.of(1), [1]) })).y!.data).toEqual(ramp(0, 4096));
  });

  test('beyond 2 GiB: refused inside the model, placed outside it', () => {
    // untouched zero pages: takes address space, no memory
    const data = new Float32Array(2 ** 28);
    const large = model({
      initializers: ['a', 'b', 'c'].map((name) => ({ name, dtype: 'float32', shape: [2 ** 14, 2 ** 14], data })),
    });
    expect(() => encodeModel(large)).toThrow(
      'encodeModel: 3221225472 bytes of weights do not fit into one ONNX file (2 GiB): set externalFile',
    );
    const { external, externalBytes, bytes } = encodeModel(large, { externalFile: 'w' });
    expect(external.map(({ offset }) => offset)).toEqual([0, 2 ** 30, 2 ** 31]);
    expect(externalBytes).toBe(3 * 2 ** 30);
    expect(bytes.byteLength).toBeLessThan(500);
    const own = encodeModel(large, { externalFile: (i) => `w${i}` });
    expect(own.external.map(({ file, offset }) => [file, offset])).toEqual([
      ['w0', 0],
      ['w1', 0],
      ['w2', 0],
    ]);
  });

  test('values that do not fit are refused', () => {
    const bad = (tensor: Partial<OnnxTensor>) => () =>
      encodeModel(
        model({ initializers: [{ name: 'w', dtype: 'float32', shape: [3], data: new Float32Array(3), ...tensor }] }),
      );
    expect(bad({})).not.toThrow();
    expect(bad({ shape: [2, 2] })).toThrow('encodeModel: tensor w: shape [2, 2] needs 4 values, got 3');
    expect(bad({ dtype: 'float16' })).toThrow(
      'encodeModel: tensor w: float16 values come in a Uint16Array, got Float32Array',
    );
  });
});
