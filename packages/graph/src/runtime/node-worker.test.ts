import type { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, test } from 'vitest';
import { encodeModel } from '../onnx/encode.ts';
import type { OnnxModel } from '../onnx/model.ts';
import { Philox } from '../random.ts';
import { directRuntime } from './node-direct.ts';
import { workerRuntime } from './node-worker.ts';
import { float32, type Runtime, type TensorValue } from './session.ts';

const direct = directRuntime({ intraOpThreads: 1 });
const worker = workerRuntime({ intraOpThreads: 1 });
afterAll(() => worker.close());

const random = new Philox(5);
const draw = (rows: number, columns: number) =>
  float32(
    Float32Array.from({ length: rows * columns }, () => 2 * random.uniform() - 1),
    [rows, columns],
  );

/** y = x·wᵏ, so that one run takes as long as wanted. */
function power(size: number, k: number): OnnxModel {
  return {
    opset: 20,
    name: 'power',
    inputs: [{ name: 'x', dtype: 'float32', shape: ['T', size] }],
    outputs: [{ name: 'y', dtype: 'float32', shape: ['T', size] }],
    initializers: [{ name: 'w', ...draw(size, size) }],
    nodes: Array.from({ length: k }, (_, i) => ({
      opType: 'MatMul',
      name: `step_${i}`,
      inputs: [i === 0 ? 'x' : `v${i}`, 'w'],
      outputs: [i === k - 1 ? 'y' : `v${i + 1}`],
      attributes: {},
    })),
  };
}

const model = power(64, 2);
const x = draw(3, 64);

describe('workerRuntime', () => {
  test('gives the bits of the direct runtime, to runs at the same time too', async () => {
    const here = await direct.createSession(model);
    const there = await worker.createSession(model);
    expect([...there.inputNames, ...there.outputNames]).toEqual(['x', 'y']);
    const feeds = [x, draw(1, 64), draw(7, 64)];
    const results = await Promise.all(feeds.map((value) => there.run({ x: value })));
    for (const [i, result] of results.entries()) expect(result).toEqual(await here.run({ x: feeds[i]! }));
  });

  test('leaves the arrays of the caller alone: weights, feeds, views and shared memory', async () => {
    const session = await worker.createSession(model);
    expect((model.initializers[0]!.data as Float32Array).length).toBe(64 * 64);
    const flat = new Float32Array(500).fill(7);
    flat.set(x.data as Float32Array, 100);
    const view = float32(flat.subarray(100, 292), [3, 64]);
    const common = float32(
      new Float32Array(new SharedArrayBuffer(768)) as Float32Array as Float32Array<ArrayBuffer>,
      [3, 64],
    );
    common.data.set(x.data as never);
    const expected = await session.run({ x });
    expect(x.data.length).toBe(192);
    expect(await session.run({ x: view })).toEqual(expected);
    expect(await session.run({ x: common })).toEqual(expected);
    expect(flat.length).toBe(500);
  });

  test('fills preallocated buffers and returns them', async () => {
    const session = await worker.createSession(model);
    const expected = (await session.run({ x })).y!.data as Float32Array;
    const flat = new Float32Array(200).fill(99);
    const y = float32(flat.subarray(4, 196), [3, 64]);
    const fetches = { y };
    const result = await session.run({ x }, fetches);
    expect(result).toBe(fetches);
    expect(result.y).toBe(y);
    expect(flat.subarray(4, 196)).toEqual(expected);
    expect([...flat.subarray(0, 4), ...flat.subarray(196)]).toEqual(Array(8).fill(99));
  });

  test('a file of a user, from its bytes', async () => {
    const session = await worker.loadSession(encodeModel(model).bytes);
    expect(await session.run({ x })).toEqual(await (await direct.createSession(model)).run({ x }));
  });

  test('the event loop goes on during a long run', async () => {
    const long = power(1536, 12);
    const input = { x: draw(1536, 1536) };
    const [here, there] = [await longestPause(direct, long, input), await longestPause(worker, long, input)];
    expect(here.pauseMs / here.runMs, 'the measure sees a blocked loop').toBeGreaterThan(0.8);
    expect(there.pauseMs / there.runMs).toBeLessThan(0.4);
  });
});

/** Longest time between two ticks of a 2 ms timer while the model runs. */
async function longestPause(runtime: Runtime, model: OnnxModel, feeds: Record<string, TensorValue>) {
  const session = await runtime.createSession(model);
  let last = performance.now();
  let pauseMs = 0;
  const tick = () => {
    const now = performance.now();
    pauseMs = Math.max(pauseMs, now - last);
    last = now;
  };
  const timer = setInterval(tick, 2);
  const startMs = performance.now();
  await session.run(feeds);
  const runMs = performance.now() - startMs;
  tick();
  clearInterval(timer);
  await session.release();
  return { pauseMs, runMs };
}

describe('errors', () => {
  test('of the model and of feeds come back as SessionError', async () => {
    const session = await worker.createSession(model);
    const wrong = session.run({ x: float32(new Float32Array(6), [2, 3]) });
    await expect(wrong).rejects.toThrow(
      expect.objectContaining({
        name: 'SessionError',
        message: 'run: input x expected float32[T, 64], got float32[2, 3]',
      }),
    );
    await expect(worker.loadSession(new Uint8Array(9))).rejects.toThrow(/^loadSession: /);
    expect((await session.run({ x })).y!.shape).toEqual([3, 64]);
  });

  test('a buffer that does not fit is refused and left as it was', async () => {
    const session = await worker.createSession(model);
    const large = float32(new Float32Array(256).fill(9), [4, 64]);
    await expect(session.run({ x }, { y: large })).rejects.toThrow(
      'run: buffer of output y expected float32[3, 64], got float32[4, 64]',
    );
    expect(large.data).toEqual(new Float32Array(256).fill(9));
    const int: TensorValue = { dtype: 'int32', shape: [3, 64], data: new Int32Array(192) };
    await expect(session.run({ x }, { y: int })).rejects.toThrow(
      'run: buffer of output y expected float32[3, 64], got int32[3, 64]',
    );
    await expect(session.run({ x }, { z: large })).rejects.toThrow('run: no output is named z; expected y');
  });

  test('a released session', async () => {
    const session = await worker.createSession(model);
    await session.release();
    await expect(session.run({ x })).rejects.toThrow('run: the session was released; create another');
  });

  test('what cannot be sent is refused, and the runtime goes on', async () => {
    const odd = { ...model, metadata: { a: (() => 'b') as unknown as string } };
    await expect(worker.createSession(odd)).rejects.toThrow(/could not be cloned/);
    expect((await worker.createSession(model)).outputNames).toEqual(['y']);
  });

  /** A runtime of its own, its thread, and a session whose runs take a while. */
  async function fresh() {
    const started = new Promise<Worker>((resolve) => process.once('worker', resolve));
    const runtime = workerRuntime({ intraOpThreads: 1 });
    const session = await runtime.createSession(power(1024, 20));
    return { runtime, session, thread: await started };
  }

  const spent = new Float32Array(4);
  structuredClone(spent.buffer, { transfer: [spent.buffer] });
  test.each([
    ['fails outside of any answer', (thread: Worker) => thread.postMessage(null), /died: Cannot /],
    [
      'cannot read a message',
      (thread: Worker) => thread.postMessage(spent, [spent.buffer]),
      /died: Unable to deserialize /,
    ],
  ])('a thread that %s rejects what is pending and what is asked later', async (_, harm, message) => {
    const { session, thread } = await fresh();
    harm(thread);
    const pending = [session.run({ x: draw(1, 1024) }), session.run({ x: draw(1, 1024) })];
    for (const run of pending) await expect(run).rejects.toThrow(message);
    await expect(session.run({ x: draw(1, 1024) })).rejects.toThrow(/^worker: the inference thread died: /);
  });

  test('close in the middle of a run rejects it at once, skips the rest, and the process lives', async () => {
    const { runtime, session, thread } = await fresh();
    const input = { x: draw(1024, 1024) };
    const startMs = performance.now();
    await session.run(input);
    const runMs = performance.now() - startMs;
    let exitCode: number | null = null;
    thread.once('exit', (code) => {
      exitCode = code;
    });
    const before = session.run(input);
    const pending = Array.from({ length: 12 }, () => session.run(input));
    const rejected = Promise.all(pending.map((run) => expect(run).rejects.toThrow('worker: the runtime is closed')));
    // the next one is under way, however long it takes on a busy machine
    await before;
    const closeMs = performance.now();
    const closed = runtime.close();
    await rejected;
    expect(exitCode, 'rejected while the thread is still at work').toBeNull();
    await closed;
    expect(exitCode).toBe(0);
    expect(performance.now() - closeMs, 'not twelve runs').toBeLessThan(6 * runMs);
    await expect(session.run(input)).rejects.toThrow('worker: the runtime is closed');
    await runtime.close();
  });
});
