import { parentPort, workerData } from 'node:worker_threads';
import { loadAttributeClassifier, loadModel } from '@unif2ace/core/node';
import { directRuntime } from '@unif2ace/graph/node';
import { EngineRefusal } from './engine.ts';
import type { CallKind, EngineFolders, FromThread, ResultOf, ToThread } from './engine-protocol.ts';
import { LocalEngine } from './local-engine.ts';

// Entry of the engine's thread: model, face search, sampling and PNG encoding, so that the server's event loop is free.

const folders = workerData as EngineFolders;
const engine = new LocalEngine(
  await loadModel(folders.model),
  folders.attributes === null ? null : await loadAttributeClassifier(folders.attributes),
  directRuntime(),
);
const running = new Map<number, AbortController>();

function send(message: FromThread): void {
  parentPort!.postMessage(message);
}

function call(
  message: Exclude<ToThread, { kind: 'abort' | 'close' }>,
  signal: AbortSignal,
): Promise<ResultOf<CallKind>> {
  const { id } = message;
  switch (message.kind) {
    case 'generate':
      return engine.generate(message.request, { signal, onStep: (step) => send({ kind: 'step', id, step }) });
    case 'edit':
      return engine.edit(message.request, { signal, onStep: (step) => send({ kind: 'step', id, step }) });
    case 'ask':
      return engine.ask(message.request, { signal, onText: (piece) => send({ kind: 'text', id, piece }) });
    case 'faces':
      return engine.faces(message.request, { signal });
    case 'routing':
      return engine.routing(message.request, { signal });
  }
}

parentPort!.on('message', async (message: ToThread) => {
  if (message.kind === 'abort') {
    running.get(message.id)?.abort();
    return;
  }
  if (message.kind === 'close') {
    for (const controller of running.values()) controller.abort();
    await engine.close();
    parentPort!.close();
    return;
  }
  const { id } = message;
  const controller = new AbortController();
  running.set(id, controller);
  try {
    send({ kind: 'done', id, result: await call(message, controller.signal) });
  } catch (error) {
    if (controller.signal.aborted) send({ kind: 'aborted', id });
    else if (error instanceof EngineRefusal) send({ kind: 'refused', id, code: error.code, message: error.message });
    else send({ kind: 'failed', id, message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  } finally {
    running.delete(id);
  }
});

send({ kind: 'ready', device: engine.info.device });
