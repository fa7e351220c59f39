import { describe, expect, test } from 'vitest';
import type { ParameterSpec } from '../params.ts';
import { FlatState } from './flat-state.ts';
import { directRuntime } from './node-direct.ts';
import { float32 } from './session.ts';

const init: ParameterSpec['init'] = { kind: 'zeros' };
const specs: ParameterSpec[] = [
  { name: 'w', shape: [2, 3], init },
  { name: 'scale', shape: [], init },
  { name: 'b', shape: [20], init },
];

describe('FlatState', () => {
  test('parameters begin at 64-byte boundaries, apart from each other', () => {
    const state = new FlatState(specs);
    expect(specs.map(({ name }) => state.range(name))).toEqual([
      { start: 0, end: 6 },
      { start: 16, end: 17 },
      { start: 32, end: 52 },
    ]);
    expect([state.params, state.grads, state.m, state.v].map(({ length }) => length)).toEqual([64, 64, 64, 64]);
    expect(state.parameterCount).toBe(27);
    for (const { name } of specs) {
      expect(state.param(name).byteOffset % 64).toBe(0);
      expect(state.param(name).buffer).toBe(state.params.buffer);
      expect(state.grad(name).buffer).toBe(state.grads.buffer);
    }
  });

  test('feeds and fetches are views: a run reads parameters and writes gradients in place', async () => {
    const state = new FlatState(specs.slice(0, 1));
    state.param('w').set([1, 2, 3, 4, 5, 6]);
    // loss = Σ (w·x)², so dw = 2 (w·x) xᵀ
    const session = await directRuntime({ intraOpThreads: 1 }).createSession({
      opset: 20,
      name: 'test',
      inputs: [
        { name: 'w', dtype: 'float32', shape: [2, 3] },
        { name: 'x', dtype: 'float32', shape: [3, 1] },
      ],
      outputs: [{ name: 'd/w', dtype: 'float32', shape: [2, 3] }],
      initializers: [],
      nodes: [
        { opType: 'MatMul', name: 'product', inputs: ['w', 'x'], outputs: ['y'], attributes: {} },
        { opType: 'Add', name: 'twice', inputs: ['y', 'y'], outputs: ['dy'], attributes: {} },
        {
          opType: 'Gemm',
          name: 'outer',
          inputs: ['dy', 'x'],
          outputs: ['d/w'],
          attributes: { transB: { kind: 'int', value: 1 } },
        },
      ],
    });
    const feeds = { ...state.feeds(), x: float32(Float32Array.of(1, 0, -1), [3, 1]) };
    const fetches = state.fetches('d/');
    expect(Object.keys(fetches)).toEqual(['d/w']);
    await session.run(feeds, fetches);
    expect([...state.grads]).toEqual([-4, 0, 4, -4, 0, 4, ...Array(10).fill(0)]);
    state.params.fill(1);
    state.param('w').set([2, 0, 0], 3);
    await session.run(feeds, fetches);
    expect([...state.grad('w')]).toEqual([0, 0, 0, 4, 0, -4]);
  });

  test('unknown and repeated names', () => {
    expect(() => new FlatState(specs).param('nope')).toThrow('flatState: no parameter nope');
    expect(() => new FlatState([...specs, specs[0]!])).toThrow('flatState: two parameters are named w');
  });
});
