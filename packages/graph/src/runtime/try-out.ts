import { buildModel } from '../onnx/lower.ts';
import { add } from '../ops/elementwise.ts';
import { input } from '../tensor.ts';
import { float32, type Runtime, type Session } from './session.ts';

/** Runs a small graph to see whether a runtime computes. @returns its session. */
export async function tryOut(runtime: Pick<Runtime, 'createSession'>): Promise<Session> {
  const x = input('x', [1]);
  const session = await runtime.createSession(buildModel({ y: add(x, x) }));
  await session.run({ x: float32(Float32Array.of(1), [1]) });
  return session;
}
