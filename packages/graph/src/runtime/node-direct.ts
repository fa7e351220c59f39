import * as ort from 'onnxruntime-node';
import { encodeModel } from '../onnx/encode.ts';
import type { OnnxModel } from '../onnx/model.ts';
import { CheckedSession, guard, infos } from './checked-session.ts';
import { MappedWeights } from './node-mapped.ts';
import type { Runtime, Session, SessionOptions } from './session.ts';
import { LocalStates } from './states.ts';

/** ONNX Runtime in the calling thread: `run` blocks the event loop. For workers, tests and benchmarks. */
export function directRuntime(defaults: SessionOptions = {}): Runtime {
  let mapped: MappedWeights | null = null;
  return {
    device: defaults.device ?? 'cpu',
    createSession: async (model, options) => {
      const all = { ...defaults, ...options };
      if (!all.mapWeights) return createSession(model, all);
      mapped ??= new MappedWeights();
      return openSession(mapped.write(model), model, all);
    },
    loadSession: async (file, options) => loadSession(file, { ...defaults, ...options }),
    states: new LocalStates(),
    close: async () => mapped?.close(),
  };
}

async function createSession(model: OnnxModel, options: SessionOptions): Promise<Session> {
  // a file per weight: the engine reads the caller's arrays, and no buffer meets Node's bound of 4 GiB
  const { bytes, external } = encodeModel(model, { externalFile: (index) => `weight-${index}` });
  const session = await guard('createSession', () =>
    ort.InferenceSession.create(bytes, {
      ...ortOptions(options),
      ...(external.length > 0 && { externalData: external.map(({ file, data }) => ({ path: file, data })) }),
    }),
  );
  return new CheckedSession(ort.Tensor, session, model, { symbolsAgree: true, fillsBuffers: true });
}

/** A graph of ours from its file. */
async function openSession(path: string, model: OnnxModel, options: SessionOptions): Promise<Session> {
  const session = await guard('createSession', () => ort.InferenceSession.create(path, ortOptions(options)));
  return new CheckedSession(ort.Tensor, session, model, { symbolsAgree: true, fillsBuffers: true });
}

async function loadSession(file: Uint8Array | string, options: SessionOptions): Promise<Session> {
  const session = await guard('loadSession', () =>
    typeof file === 'string'
      ? ort.InferenceSession.create(file, ortOptions(options))
      : ort.InferenceSession.create(file, ortOptions(options)),
  );
  // a foreign exporter may give one symbolic name to dimensions that differ
  return new CheckedSession(ort.Tensor, session, infos(session), { symbolsAgree: false, fillsBuffers: true });
}

function ortOptions(options: SessionOptions): ort.InferenceSession.SessionOptions {
  return {
    executionProviders: [options.device ?? 'cpu'],
    graphOptimizationLevel: 'all',
    logSeverityLevel: options.logSeverity ?? 4,
    ...(options.intraOpThreads && { intraOpNumThreads: options.intraOpThreads }),
    ...(options.profilePrefix && { enableProfiling: true, profileFilePrefix: options.profilePrefix }),
    extra: {
      session: {
        intra_op: { allow_spinning: options.allowSpinning === false ? '0' : '1' },
        ...(options.prepack === false && { disable_prepacking: '1' }),
      },
    },
  };
}
