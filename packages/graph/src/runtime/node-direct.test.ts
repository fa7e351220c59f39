import { describe, expect, test } from 'vitest';
import { encodeModel } from '../onnx/encode.ts';
import type { OnnxModel } from '../onnx/model.ts';
import { directRuntime } from './node-direct.ts';
import { float32, type Session, type TensorValue } from './session.ts';

const runtime = directRuntime({ intraOpThreads: 1 });

/** sum = x + y over [T, 2], and its row maxima. */
const model: OnnxModel = {
  opset: 20,
  name: 'test',
  inputs: [
    { name: 'x', dtype: 'float32', shape: ['T', 2] },
    { name: 'y', dtype: 'float32', shape: ['T', 2] },
  ],
  outputs: [
    { name: 'sum', dtype: 'float32', shape: ['T', 2] },
    { name: 'top', dtype: 'float32', shape: ['T', 1] },
  ],
  initializers: [{ name: 'axis', dtype: 'int64', shape: [1], data: BigInt64Array.of(1n) }],
  nodes: [
    { opType: 'Add', name: 'adding', inputs: ['x', 'y'], outputs: ['sum'], attributes: {} },
    { opType: 'ReduceMax', name: 'maximum', inputs: ['sum', 'axis'], outputs: ['top'], attributes: {} },
  ],
};
const session = await runtime.createSession(model);
const rows = (...values: number[]): TensorValue => float32(Float32Array.from(values), [values.length / 2, 2]);
const x = rows(1, 2, 3, 4);
const y = rows(10, -20, 30, -40);

describe('directRuntime', () => {
  test('all outputs, or those named', async () => {
    expect([...session.inputNames, ...session.outputNames]).toEqual(['x', 'y', 'sum', 'top']);
    const all = await session.run({ x, y });
    expect(all).toEqual({ sum: rows(11, -18, 33, -36), top: float32(Float32Array.of(11, 33), [2, 1]) });
    expect(Object.keys(await session.run({ x, y }, ['top']))).toEqual(['top']);
  });

  test('a symbolic dimension takes any size, none included', async () => {
    expect((await session.run({ x: rows(1, 2), y: rows(3, 4) })).sum).toEqual(rows(4, 6));
    expect((await session.run({ x: rows(), y: rows() }, ['sum'])).sum).toEqual(rows());
  });

  test('preallocated buffers are filled in place, views of a larger array too', async () => {
    const flat = new Float32Array(8).fill(99);
    const sum = float32(flat.subarray(2, 6), [2, 2]);
    const fetches = { sum };
    const result = await session.run({ x, y }, fetches);
    expect(result).toBe(fetches);
    expect(result.sum).toBe(sum);
    expect([...flat]).toEqual([99, 99, 11, -18, 33, -36, 99, 99]);
    await session.run({ x, y: x }, fetches);
    expect([...flat]).toEqual([99, 99, 2, 4, 6, 8, 99, 99]);
  });

  test('a file of a user: from bytes, checked against what the file says', async () => {
    const loaded = await runtime.loadSession(encodeModel(model).bytes);
    expect((await loaded.run({ x, y }, ['top'])).top!.data).toEqual(Float32Array.of(11, 33));
    await expect(loaded.run({ x, y: float32(new Float32Array(6), [2, 3]) })).rejects.toThrow(
      'run: input y expected float32[T, 2], got float32[2, 3]',
    );
  });

  test('options reach the engine: results stay the same', async () => {
    const tuned = await runtime.createSession(model, { intraOpThreads: 2, allowSpinning: false, prepack: false });
    expect((await tuned.run({ x, y })).sum).toEqual(rows(11, -18, 33, -36));
  });
});

describe('errors of one line that say what to do', () => {
  const int = { dtype: 'int32', shape: [2, 2], data: new Int32Array(4) } as const;
  const shared = {
    ...x,
    data: new Float32Array(new SharedArrayBuffer(16)) as Float32Array as Float32Array<ArrayBuffer>,
  };
  const cases: [string, (s: Session) => Promise<unknown>, string][] = [
    ['missing feed', (s) => s.run({ x }), 'run: input y is missing; expected x, y'],
    ['unknown feed', (s) => s.run({ x, y, z: x }), 'run: no input is named z; expected x, y'],
    [
      'wrong shape',
      (s) => s.run({ x, y: float32(new Float32Array(6), [2, 3]) }),
      'run: input y expected float32[T, 2], got float32[2, 3]',
    ],
    [
      'wrong rank',
      (s) => s.run({ x, y: float32(new Float32Array(2), [2]) }),
      'run: input y expected float32[T, 2], got float32[2]',
    ],
    ['wrong type', (s) => s.run({ x, y: int }), 'run: input y expected float32[T, 2], got int32[2, 2]'],
    [
      'too few values',
      (s) => s.run({ x, y: float32(new Float32Array(3), [2, 2]) }),
      'run: input y: shape [2, 2] needs 4 values, got 3',
    ],
    [
      'wrong array',
      (s) => s.run({ x, y: { ...int, dtype: 'float32' } }),
      'run: input y: float32 values come in a Float32Array, got Int32Array',
    ],
    ['sizes of one symbol', (s) => s.run({ x, y: rows(1, 2) }), 'run: T is 2 in input x, but 1 in input y'],
    [
      'shared memory',
      (s) => s.run({ x, y: shared }),
      'run: input y lies in shared memory, which the engine cannot use; pass data.slice()',
    ],
    ['unknown output', (s) => s.run({ x, y }, ['mean']), 'run: no output is named mean; expected sum, top'],
    ['unknown buffer', (s) => s.run({ x, y }, { mean: x }), 'run: no output is named mean; expected sum, top'],
    [
      'buffer of wrong type',
      (s) => s.run({ x, y }, { sum: int }),
      'run: buffer of output sum expected float32[T, 2], got int32[2, 2]',
    ],
    [
      'buffer of wrong width',
      (s) => s.run({ x, y }, { sum: float32(new Float32Array(6), [2, 3]) }),
      'run: buffer of output sum expected float32[T, 2], got float32[2, 3]',
    ],
  ];
  test.each(cases)('%s', async (_, action, message) => {
    await expect(action(session)).rejects.toThrow(expect.objectContaining({ name: 'SessionError', message }));
  });

  test('a failing operator is named, without places in the source of the engine', async () => {
    const tooLong = session.run({ x, y }, { sum: rows(0, 0, 0, 0, 0, 0) });
    await expect(tooLong).rejects.toThrow(/^run: operator Add \(node adding\) failed: The output OrtValue .*\{3,2\}/);
    const gather = await runtime.createSession({
      ...model,
      inputs: [{ name: 'i', dtype: 'int64', shape: ['N'] }],
      outputs: [{ name: 'picked', dtype: 'int64', shape: ['N'] }],
      nodes: [{ opType: 'Gather', name: 'lookup', inputs: ['axis', 'i'], outputs: ['picked'], attributes: {} }],
    });
    const i: TensorValue = { dtype: 'int64', shape: [1], data: BigInt64Array.of(5n) };
    await expect(gather.run({ i })).rejects.toThrow(
      /^run: operator Gather \(node lookup\) failed: indices element out of data bounds, idx=5 [^\n]*$/,
    );
  });

  test('a model the engine refuses', async () => {
    const [first, ...rest] = model.nodes;
    const unknown = { ...model, nodes: [{ ...first!, opType: 'Addd' }, ...rest] };
    await expect(runtime.createSession(unknown)).rejects.toThrow(/^createSession: [^\n]*Addd[^\n]*$/);
    await expect(runtime.loadSession(new Uint8Array(100))).rejects.toThrow(/^loadSession: [^\n]+$/);
    await expect(runtime.loadSession('absent.onnx')).rejects.toThrow(/^loadSession: [^\n]*absent.onnx[^\n]*$/);
  });

  test('a released session; releasing twice is harmless', async () => {
    const ended = await runtime.createSession(model);
    await ended.release();
    await ended.release();
    await expect(ended.run({ x, y })).rejects.toThrow('run: the session was released; create another');
  });
});
